import t from 'tap'
import { busyTime } from '../../src/engine/server/busy.js'
import { groupsInFlight, type InFlight } from '../../src/engine/server/in-flight.js'
import { slots } from '../../src/engine/server/slots.js'

/** Lets a server of this throughput (tokens/s by groups in flight) finish so many groups. @returns the limit at each */
function serve(pace: InFlight, rate: (groups: number) => number, groups: number, sinceMs = 0): number[] {
  const limits: number[] = []
  let nowMs = sinceMs
  for (let i = 0; i < groups; i++) {
    const beganMs = nowMs
    nowMs += (16 * 500 * 1_000) / rate(pace.limit())
    pace.finished({ tokens: 16 * 500, saturated: true, beganMs, endedMs: nowMs })
    limits.push(pace.limit())
  }
  return limits
}

/** Where it stands but for trials: the limit of most groups of the later half. */
function settled(limits: number[]): number {
  const later = limits.slice(limits.length / 2)
  const counts = new Map<number, number>()
  for (const limit of later) counts.set(limit, (counts.get(limit) ?? 0) + 1)
  return [...counts].sort(([, a], [, b]) => b - a)[0]![0]
}

t.test('how many groups are generated at once', async t => {
  t.equal(groupsInFlight({ start: 2, most: 16 }).limit(), 2, 'starts as told')
  const cases: [title: string, start: number, most: number, rate: (groups: number) => number, ends: number[]][] = [
    ['is raised as long as more brings more', 2, 16, groups => 1_000 * Math.min(groups, 6), [6]],
    ['is lowered, to a step from the fewest that bring as much', 12, 16, groups => 1_000 * Math.min(groups, 6), [6, 7]],
    ['is lowered when more brings less', 8, 16, groups => 1_000 * Math.max(1, Math.min(groups, 12 - groups)), [5, 6]],
    ['never exceeds the most', 2, 5, groups => 1_000 * groups, [5]],
    ['stays at one when one fills the server', 1, 16, () => 1_000, [1]],
  ]
  for (const [title, start, most, rate, ends] of cases) {
    const limits = serve(groupsInFlight({ start, most }), rate, 6_000)
    t.ok(ends.includes(settled(limits)), `${title}: ${settled(limits)}`)
    t.ok(
      limits.every(limit => limit >= 1 && limit <= most),
      '… and stays between one and the most',
    )
  }
  const trials = serve(groupsInFlight({ start: 6, most: 16 }), groups => 1_000 * Math.min(groups, 6), 20_000)
  const astray = trials.slice(10_000).filter(limit => limit !== 6).length
  t.ok(astray / 10_000 < 0.1, 'trials become rare when they come to nothing')

  const other = groupsInFlight({ start: 2, most: 16 })
  serve(other, groups => 1_000 * Math.min(groups, 4), 3_000)
  t.equal(
    settled(serve(other, groups => 1_000 * Math.min(groups, 10), 20_000)),
    10,
    'another checkpoint, whose groups are shorter: more again',
  )

  const idle = groupsInFlight({ start: 2, most: 16 })
  for (let i = 0; i < 500; i++)
    idle.finished({ tokens: 8_000, saturated: false, beganMs: (i - 1) * 1_000, endedMs: i * 1_000 })
  t.equal(idle.limit(), 2, 'is not judged while callers keep fewer in flight')
})

t.test('groups in flight are measured over several windows when one has too few groups', async t => {
  // 12 groups a window: four begin at once, and at its end one after the other ends and has no successor.
  const pace = groupsInFlight({ start: 4, most: 16 })
  const GROUPS = 12
  const finish = (endedMs: number, saturated: boolean) =>
    pace.finished({ tokens: 8_000, saturated, beganMs: endedMs - 10_000, endedMs })
  const limits: number[] = []
  for (let window = 0; window < 6 && pace.limit() === 4; window++) {
    for (let i = 0; i < GROUPS; i++) finish(window * 360_000 + i * 2_500, i <= GROUPS - 4)
    limits.push(pace.limit())
  }
  // Of nine saturated ones the first four began at once, and from the fifth on is counted: four a window.
  t.same(limits, [4, 4, 8], 'twelve are counted in the third window, and more is tried')

  // The time between windows is no part of it: the same throughput brings no change, whichever way it is cut up.
  const cut = groupsInFlight({ start: 1, most: 2 })
  const serveOne = (endedMs: number, saturated = true) =>
    cut.finished({ tokens: 8_000, saturated, beganMs: endedMs - 1_000, endedMs })
  for (let i = 0; i < 14; i++) serveOne(i * 1_000)
  t.equal(cut.limit(), 2, 'two are tried')
  for (let window = 1; window < 9 && cut.limit() === 2; window++)
    for (let i = 0; i < 8; i++) serveOne(window * 360_000 + i * 800, i < 7)
  t.equal(cut.limit(), 2, 'and kept: a quarter more throughput, in windows that lie far apart')
})

t.test('groups in flight of a server that ran out of memory', async t => {
  const growing = groupsInFlight({ start: 5, most: 5 })
  t.equal(growing.outOfMemory(0), 2, 'are half as many')
  t.equal(Math.max(...serve(growing, groups => 1_000 * groups, 6_000)), 4, '… and never again as many as did not fit')
  growing.newCheckpoint()
  const later = serve(growing, groups => 1_000 * groups, 6_000, 1e9)
  t.equal(Math.max(...later), 5, '… until another checkpoint is loaded')
  t.equal(groupsInFlight({ start: 1, most: 1 }).outOfMemory(0), 1, 'but one stays')

  const told = groupsInFlight({ start: 16, most: 16 })
  const finish = (beganMs: number): void =>
    told.finished({ tokens: 8_000, saturated: true, beganMs, endedMs: beganMs + 20_000 })
  t.equal(told.outOfMemory(1_000), 8)
  t.same(
    [1_000, 1_001, 30_000].map(ms => told.outOfMemory(ms)),
    [undefined, undefined, undefined],
    'one incident, told by every rank and every completion, counts once',
  )
  finish(500)
  t.equal(told.outOfMemory(30_001), undefined, '… also when a group that began before it ends well')
  finish(2_000)
  t.equal(told.outOfMemory(30_002), 4, 'after a group of the lower limit it is another one')
  t.equal(told.outOfMemory(90_001), undefined)
  t.equal(told.outOfMemory(90_002), 2, '… and after a minute in which no group could be made')
})

t.test('places', async t => {
  const never = new AbortController().signal
  const places = slots(1)
  const first = await places.take(never)
  const order: string[] = []
  const second = places.take(never).then(giveBack => {
    order.push('second')
    return giveBack
  })
  const stopped = new AbortController()
  const third = places.take(stopped.signal)
  const fourth = places.take(never).then(giveBack => {
    order.push('fourth')
    return giveBack
  })
  t.equal(places.waiting(), 3)
  stopped.abort(new Error('no longer'))
  await t.rejects(third, /no longer/, 'are not waited for any longer than wanted')
  first()
  first()
  const giveBack = await second
  t.same([places.taken(), order], [1, ['second']], 'go to who came first, and one given back twice is one place')
  places.resize(2)
  const other = await fourth
  t.equal(places.taken(), 2, 'can become more')
  places.resize(1)
  giveBack()
  const late = places.take(never)
  t.equal(places.waiting(), 1, 'and fewer, as they come back')
  other()
  ;(await late)()
  t.equal(places.taken(), 0)
  await t.rejects(places.take(AbortSignal.abort(new Error('over'))), /over/)
})

t.test('time in which a group was being generated', async t => {
  let nowMs = 0
  const busy = busyTime(() => nowMs)
  const at = (ms: number, what: () => void): void => {
    nowMs = ms
    what()
  }
  at(10, () => {})
  const first = busy.enter()
  at(20, () => {})
  const second = busy.enter()
  at(30, first)
  at(35, first)
  at(40, second)
  nowMs = 50
  t.same(busy.read(), { busyMs: 30, ofMs: 50 }, 'counts once, however many there were')
  busy.reset()
  nowMs = 60
  t.same(busy.read(), { busyMs: 0, ofMs: 10 })
})

import t from 'tap'
import { busyTime } from '../../src/engine/server/busy.js'
import { groupsInFlight, type InFlight } from '../../src/engine/server/in-flight.js'
import { slots } from '../../src/engine/server/slots.js'

/** Lets a server of this throughput (tokens/s by groups in flight) work until the limit has settled. */
function serve(pace: InFlight, rate: (groups: number) => number, groups: number): number[] {
  const limits: number[] = []
  let nowMs = 0
  for (let i = 0; i < groups; i++) {
    nowMs += (16 * 500 * 1_000) / rate(pace.limit())
    pace.finished(16 * 500, true, nowMs)
    if (limits.at(-1) !== pace.limit()) limits.push(pace.limit())
  }
  return limits
}

t.test('how many groups are generated at once', async t => {
  const pace = groupsInFlight({ start: 2, most: 16 })
  t.equal(pace.limit(), 2, 'starts as told')
  const limits = serve(pace, groups => 1_000 * Math.min(groups, 6), 2_000)
  t.ok(Math.max(...limits) <= 9 && pace.limit() >= 6 && pace.limit() <= 8, 'settles where more brings no more')

  const growing = groupsInFlight({ start: 2, most: 5 })
  serve(growing, groups => 1_000 * groups, 2_000)
  t.equal(growing.limit(), 5, 'never exceeds the most')

  t.equal(growing.outOfMemory(), 2, 'out of memory: half as many')
  serve(growing, groups => 1_000 * groups, 5_000)
  t.equal(growing.limit(), 4, '… and never again as many as did not fit')
  const alone = groupsInFlight({ start: 1, most: 1 })
  t.equal(alone.outOfMemory(), 1, 'one group stays')

  const idle = groupsInFlight({ start: 2, most: 16 })
  for (let i = 0; i < 500; i++) idle.finished(8_000, false, i * 1_000)
  t.equal(idle.limit(), 2, 'is not judged while callers keep fewer in flight')
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

import t from 'tap'
import { keepEquipment } from '../../../actors/generator/equipment.js'
import { checkpointOf, type Load, named, type Outside, outside, settled, windowOf } from './helpers/parts.js'

// One workshop per GPU: who may have it, when its weights may change, and what keeps it out of the window.

const fetching = { haste: 'now' as const, keep: () => [] }

function equipmentOf(world: Outside, signal = new AbortController().signal) {
  const told = { changes: 0, idle: 0 }
  const equipment = keepEquipment(world.parts, {
    fetching,
    signal,
    onChange: () => void told.changes++,
    onIdle: () => void told.idle++,
  })
  return Object.assign(equipment, { told })
}

const W1 = windowOf(3_000, named(900))
const W2 = windowOf(3_030, named(930))

t.test('lanes that want it at once get it after one fetch and one load', async t => {
  const world = outside()
  const equipment = equipmentOf(world)
  const loans = await Promise.all([1, 2, 3].map(() => equipment.borrow(W1)))
  t.ok(loans.every(loan => loan?.shop.metadata.window === 900))
  t.same(world.done, ['fetch 900 now', 'load 900'])
  t.equal(equipment.trouble(), '')
  const { changes } = equipment.told
  for (const loan of loans) loan?.giveBack()
  t.same(equipment.told, { changes, idle: 1 }, 'when all of it is back, that is said once')
  t.ok(equipment.holds(named(900)))
  t.notOk(equipment.holds(named(900, 'f'.repeat(32))), 'another trainer’s checkpoint of that window is another one')
})

t.test('weights change only while nothing is lent', async t => {
  const world = outside()
  const equipment = equipmentOf(world)
  const [generating, staging] = [await equipment.borrow(W1), await equipment.borrow(W1)]
  const waiting = equipment.borrow(W2)
  const late = equipment.borrow(W1)
  await settled()
  t.same(world.done, ['fetch 900 now', 'load 900', 'fetch 930 now'], 'a group in flight keeps its weights')
  t.equal(equipment.shop()?.metadata.window, 900)
  generating?.giveBack()
  generating?.giveBack()
  await settled()
  t.equal(world.done.length, 3, 'giving back twice counts once')
  staging?.giveBack()
  t.equal((await waiting)?.shop.metadata.window, 930)
  t.same(world.done.slice(3, 5), ['load 930', 'close environment 900'], 'then they change')
  t.not((await late)?.shop.metadata.window, 930, 'and nobody gets others than those of the own window')
})

t.test('the tail: the next window’s checkpoint is taken when nothing is lent, and only then', async t => {
  const world = outside()
  const equipment = equipmentOf(world)
  const loan = await equipment.borrow(W1)
  await equipment.swap(W1, checkpointOf(930))
  t.same(world.done, ['fetch 900 now', 'load 900'], 'a group is still in flight: nothing happens')
  t.ok(await equipment.borrow(W1), 'and the window is mined on')
  loan?.giveBack()
  await equipment.swap(W1, checkpointOf(930))
  t.equal(world.done.length, 2, 'nor while another lane has it')
})

t.test('a window that was left for the next one gets nothing any more, the next one at once', async t => {
  const world = outside()
  const equipment = equipmentOf(world)
  ;(await equipment.borrow(W1))?.giveBack()
  await equipment.swap(W1, checkpointOf(930))
  t.same(world.done.slice(2), ['load 930', 'close environment 900'])
  t.equal(await equipment.borrow(W1), undefined)
  t.equal(world.done.length, 4, 'no load back')
  const loan = await equipment.borrow(W2)
  t.equal(loan?.shop.metadata.window, 930)
  t.equal(world.done.length, 4, 'no fetch and no load')
  loan?.giveBack()
  const again = await equipment.borrow(windowOf(W1.window, named(900), 2))
  t.equal(again?.shop.metadata.window, 900, 'a new epoch of the window that was left is another window')
})

t.test('a next window that is opened with another checkpoint than expected loads that one', async t => {
  const world = outside()
  const equipment = equipmentOf(world)
  ;(await equipment.borrow(W1))?.giveBack()
  await equipment.swap(W1, checkpointOf(930))
  const loan = await equipment.borrow(windowOf(3_030, named(900)))
  t.equal(loan?.shop.metadata.window, 900)
  t.same(world.done.slice(4), ['fetch 900 now', 'load 900', 'close environment 930'])
})

const OTHER = 'f'.repeat(32)

t.test('a GPU is kept out, with a reason, and tried again', async t => {
  const cases: [title: string, fault: { load?: Load; fetch?: string | Error }, reason: RegExp][] = [
    [
      'the engine reports other weights',
      { load: { weightsHash: OTHER } },
      /the engine holds weights f{32}, checkpoint 900 has a{32}/,
    ],
    ['the engine reports none', { load: { weightsHash: '' } }, /does not say which weights it holds/],
    ['the engine holds another checkpoint', { load: { window: 870 } }, /holds checkpoint 870 instead of 900/],
    ['the canary failed', { load: new Error('the canary failed: a sketch is 1 and 2') }, /the canary failed/],
    [
      'nobody has the checkpoint',
      { fetch: 'the trainer has no read credentials' },
      /no checkpoint: the trainer has no/,
    ],
    ['the disk is full', { fetch: new Error('the disk is full. Make room') }, /the disk is full/],
  ]
  for (const [title, { load, fetch }, reason] of cases) {
    const world = outside()
    const equipment = equipmentOf(world)
    if (load) world.loads.push(load)
    if (fetch !== undefined) world.fetches.push(fetch)
    t.equal(await equipment.borrow(W1), undefined, `${title}: nothing is lent, so nothing is claimed`)
    t.match(equipment.trouble(), reason, 'presence says why')
    t.match(world.complaints, [reason], 'so does the log')
    t.equal(equipment.shop(), undefined)
    const before = world.done.length
    const { changes } = equipment.told
    t.equal(await equipment.borrow(W1), undefined)
    await equipment.swap(W2, checkpointOf(900))
    t.equal(world.done.length, before, 'it is not tried again at once')
    t.equal(equipment.told.changes, changes, 'and nobody is woken who would only ask again')
    t.match(equipment.trouble(), reason)
    world.clock.pass(2_000)
    t.ok(await equipment.borrow(W1), 'but later, and then it is there')
    t.equal(equipment.trouble(), '')
    await equipment.close()
    const opened = world.done.filter(entry => entry === 'load 900').length - (load instanceof Error ? 1 : 0)
    t.equal(world.done.filter(entry => entry === 'close environment 900').length, opened, 'every environment is closed')
  }
})

t.test('a checkpoint that was published anew is not the one the window wants', async t => {
  const world = outside()
  const equipment = equipmentOf(world)
  world.fetches.push(checkpointOf(900, { metadataHash: OTHER }))
  t.equal(await equipment.borrow(W1), undefined)
  t.match(equipment.trouble(), /there is checkpoint 900\/f{32}, the window wants 900\/a{32}/)
  t.same(world.done, ['fetch 900 now'], 'it is not loaded')
})

t.test('metadata without a hash is gone by what was computed of the files', async t => {
  const window = windowOf(3_000, named(900, ''))
  const checkpoint = checkpointOf(900, { metadataHash: '', filesHash: 'A'.repeat(32) })
  for (const [weightsHash, isLent] of [
    ['a'.repeat(32), true],
    [OTHER, false],
  ] as const) {
    const world = outside()
    const equipment = equipmentOf(world)
    world.fetches.push(checkpoint)
    world.loads.push({ weightsHash })
    t.equal((await equipment.borrow(window)) !== undefined, isLent, weightsHash)
  }
  const rehearsal = outside({ rehearsal: true })
  rehearsal.fetches.push(checkpoint)
  t.ok(await equipmentOf(rehearsal).borrow(window), 'a rehearsal has no weights to be compared')
})

t.test('waits between tries grow, to a minute at most', async t => {
  const world = outside()
  const equipment = equipmentOf(world)
  const waited: number[] = []
  for (let tries = 0; tries < 9; tries++) {
    world.loads.push(new Error('out of memory'))
    await equipment.borrow(W1)
    const loads = () => world.done.filter(entry => entry.startsWith('load')).length
    const before = loads()
    let ms = 0
    for (world.loads.unshift(new Error('out of memory')); loads() === before; ms += 250) {
      world.clock.pass(250)
      await equipment.borrow(W1)
    }
    world.loads.length = 0
    waited.push(ms)
  }
  t.ok(
    waited.every((ms, i) => i === 0 || ms >= waited[i - 1]!),
    waited.join(', '),
  )
  t.ok(waited[0]! <= 2_000 && waited.at(-1)! >= 60_000 && waited.at(-1)! <= 75_000)
})

t.test('an engine that turns out to hold other weights is out until they were loaded again', async t => {
  const world = outside()
  const equipment = equipmentOf(world)
  const [found, other] = [await equipment.borrow(W1), await equipment.borrow(W1)]
  equipment.distrust(found!.shop, 'the proof worker holds other weights than were loaded')
  found?.giveBack()
  t.equal(equipment.shop(), undefined)
  t.equal(await equipment.borrow(W1), undefined)
  t.match(equipment.trouble(), /holds other weights/)
  equipment.distrust(found!.shop, 'said twice')
  t.match(equipment.trouble(), /holds other weights/, 'what was found once stays what it was')
  world.clock.pass(2_000)
  const waiting = equipment.borrow(W1)
  await settled()
  t.equal(world.done.filter(entry => entry === 'load 900').length, 1, 'a group of it is still being staged')
  other?.giveBack()
  t.ok(await waiting)
  t.same(world.done.slice(-2), ['load 900', 'close environment 900'])
})

t.test('an engine that loads well and then has other weights, again and again, is tried ever less often', async t => {
  const world = outside()
  const equipment = equipmentOf(world)
  /** Loads, makes a group or not, is found out; how long nothing is lent then, ms. */
  const foundOut = async (isStaged = false) => {
    const loan = await equipment.borrow(W1)
    if (isStaged) equipment.trust(loan!.shop)
    equipment.distrust(loan!.shop, 'other weights')
    loan?.giveBack()
    let ms = 0
    for (;;) {
      const again = await equipment.borrow(W1)
      again?.giveBack()
      if (again) return ms
      world.clock.pass(125)
      ms += 125
    }
  }
  const waits = []
  for (let times = 0; times < 4; times++) waits.push(await foundOut())
  t.same(waits, [1_125, 2_250, 4_500, 9_000], 'a load alone proves nothing')
  t.equal(await foundOut(true), 1_125, 'a staged group does')
  const other = await equipment.borrow(W2)
  other?.giveBack()
  t.equal(await foundOut(), 1_125, 'and other weights are another matter')
})

t.test('a signal ends what is under way, and close leaves nothing open', async t => {
  const world = outside()
  const end = new AbortController()
  const equipment = equipmentOf(world, end.signal)
  world.beforeLoad = () =>
    new Promise((_, reject) => end.signal.addEventListener('abort', () => reject(end.signal.reason), { once: true }))
  const waiting = equipment.borrow(W1)
  await settled()
  t.equal(equipment.trouble(), 'loading checkpoint 900')
  const stop = new Error('stop')
  end.abort(stop)
  await t.rejects(waiting, stop)
  await equipment.close()
  t.equal(world.done.at(-1), 'close engine', 'also an engine whose load was cut off')
})

import t from 'tap'
import { entered } from '../../actors/controller/messages.js'
import { announce } from '../../nats/index.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { objectKey } from '../../src/window/object.js'
import { actorLog } from '../helpers/actor-log.js'
import { invariants } from '../helpers/invariants.js'
import { inTime, natsServerAbsent, until } from '../helpers/nats-server.js'
import { becomes } from '../helpers/outcome.js'
import { PATIENCE_MS, startWorld, type World } from '../helpers/world.js'

// The chain takes blocks back at every moment of a window, and then the hotkey's place: what is mined, what is uploaded, and
// what the summaries say.

/** Blocks until a block is final: enough for all reorgs of a window, and few enough to be over before its file is sealed. */
const FINALITY_LAG = 12
/** With more blocks than a window has between the best and the final one, its hash is open until after its deadline. */
const FOREVER = 100
const REMEDY = /hotkey \w+ is not registered on subnet 81: run 'btcli subnet register --netuid 81'/

t.setTimeout(PATIENCE_MS)
t.test('a chain that takes back what it said', { skip: natsServerAbsent, timeout: PATIENCE_MS }, async t => {
  const world = await startWorld(t, {
    generators: 2,
    blockMs: 700,
    finalityLag: FINALITY_LAG,
    chain: 'registration_ms = 1000',
    proxied: ['uploader'],
  })
  const { chain } = world
  const log = actorLog(world.actor('controller'))
  const takeBack = (block: number) => chain.reorg(chain.head().number - block + 1)
  const reaches = (block: number) =>
    until(`the chain is at block ${block}`, () => (chain.head().number >= block ? true : undefined))

  await t.test(
    'from W−1, seen at W; from W, seen at W+5; from W+5: the last hash of W is mined and uploaded',
    async t => {
      const { window, payload: first } = await world.event('opened')
      takeBack(window - 1)
      const second = await epoch(world, window, 2)
      t.not(second.hash, first.hash, 'another block W−1 makes another block W')
      t.equal(second.hash, chain.hash(window), 'the one that the chain has now')
      await reaches(window + 5)
      takeBack(window)
      const third = await epoch(world, window, 3)
      t.not(third.hash, second.hash)
      t.equal(third.hash, chain.hash(window))
      await reaches(window + 6)
      takeBack(window + 5)
      for (const left of [1, 2])
        t.match((await becomes(t, world, { window, epoch: left, state: 'SKIPPED' })).payload.reason, /^reorg: block/)
      await becomes(t, world, { window, epoch: 3, state: 'UPLOADED' })
      t.equal(epochs(world, window), 3, 'what comes after block W makes no new epoch')
      await invariants(t, world, { window })
    },
  )

  await t.test('from W, when the file is sealed: it is not uploaded, nor is anything left of it', async t => {
    chain.setFinalityLag(FOREVER)
    const { window } = await world.nextWindow()
    await world.says('uploader', /waiting for block W to be final/)
    takeBack(window)
    const { payload } = await becomes(t, world, { window, epoch: 1, state: 'SKIPPED' })
    t.match(payload.reason, /^reorg: block/)
    const { payload: failed } = await world.event('uploadfailed', event => event.window === window && event.epoch === 1)
    t.match(failed, { reason: /^window given up: reorg/, clean: true })
    t.equal(
      world.events.find(event => event.kind === 'completed' && event.window === window),
      undefined,
    )
    const { payload: last } = await world.event('summarised', event => event.window === window && event.epoch === 2)
    t.ok(last.reason, `the epoch of the new hash comes too late, and says so: ${last.reason}`)
    await invariants(t, world, { window })
  })

  await t.test(
    'after the object is there under a final hash: nothing changes. And the hotkey loses its place',
    async t => {
      chain.setFinalityLag(2)
      const { window } = await world.nextWindow()
      await world.event('staged', event => event.window === window)
      chain.deregister(world.hotkey)
      await log.says(/ALARM/, REMEDY)
      await becomes(t, world, { window, state: 'UPLOADED' })
      const key = objectKey(world.hotkey, window)
      const before = await world.bucket.head(key, inTime())
      takeBack(chain.head().number)
      const next = window + WINDOW_BLOCKS
      world.jump(next)
      const { payload } = await becomes(t, world, { window: next, state: 'SKIPPED' })
      t.match(payload.reason, REMEDY, 'the next window says what to do')
      t.equal(world.claims.get(`${next}.1`), undefined, 'and nobody works')
      t.equal(epochs(world, window), 1)
      t.same(await world.bucket.head(key, inTime()), before, 'the object is as it was')
      await invariants(t, world, { window })
    },
  )

  await t.test('the hotkey is registered again: the next window is mined', async t => {
    chain.register(world.hotkey)
    await log.says(/hotkey is registered/)
    const { window } = await world.nextWindow()
    await world.event('staged', event => event.window === window)
    t.pass('a group of it is staged')
  })

  await t.test('a window that is given up in the moment its object is verified keeps none', async t => {
    const window = world.window()
    const held = await world.proxy('uploader').hold('before', ({ subject }) => subject.endsWith('.file.uploaded'))
    const given = { state: 'failed' as const, atMs: Date.now(), why: 'given up by a test' }
    await announce(world.broker, entered, { window, epoch: 1 }, given, { signal: inTime() })
    await becomes(t, world, { window, state: 'MISSED' })
    held.release()
    const { payload } = await world.event('uploadfailed', event => event.window === window)
    t.match(payload, { reason: /^window given up: given up by a test/, clean: true })
    await invariants(t, world, { window })
  })
  await invariants(t, world)
})

async function epoch(world: World, window: number, epoch: number) {
  return (await world.event('opened', event => event.window === window && event.epoch === epoch)).payload
}

function epochs(world: World, window: number): number {
  return Math.max(...world.events.filter(event => event.window === window).map(({ epoch }) => epoch))
}

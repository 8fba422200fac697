import t from 'tap'
import { invariants } from '../helpers/invariants.js'
import { natsServerAbsent } from '../helpers/nats-server.js'
import { becomes } from '../helpers/outcome.js'
import { PATIENCE_MS, startWorld } from '../helpers/world.js'

// The broker dies in the middle of a window and comes back with its store; the chain takes block W back.

/** Nothing is final in a window: until it is, the chain may take block W back. Then it is final so many blocks later. */
const NEVER = 1_000
const SOON = 2
/** Groups of about 200 KB: the first part of 5 MiB is uploaded in the middle of the window. */
const MAX_TOKENS = 8_192

t.setTimeout(PATIENCE_MS)
t.test('a broker that dies and a chain that reorganises', { skip: natsServerAbsent, timeout: PATIENCE_MS }, async t => {
  const world = await startWorld(t, {
    generators: 3,
    blockMs: 800,
    paceMs: 525,
    maxTokens: MAX_TOKENS,
    policy: 'part_bytes = 5242880',
  })

  await t.test(
    'kill -9 of nats-server in mid-window, its store kept: for a moment, and for longer than a lease lives',
    async t => {
      const { window } = await world.event('opened')
      const staged = () => world.events.filter(({ kind }) => kind === 'staged').length
      await world.until('six groups are staged', () => staged() >= 6)
      await world.nats.kill()
      await world.nats.restart()
      const before = staged()
      await world.until('six more are staged', () => staged() >= before + 6)
      await world.nats.kill()
      await world.says('aggregator', /lease lost/)
      await world.nats.restart()
      const { payload: summary } = await becomes(t, world, { window, state: 'UPLOADED' })
      t.ok(summary.problems >= before + 6, `with ${summary.problems} groups, more than before the kills`)
      t.equal(new Set(world.events.map(event => event.seq)).size, world.events.length, 'the journal has no event twice')
      for (const said of ['the connection to the broker is lost', 'connected to the broker again'])
        await world.says('generator-0', new RegExp(`"msg":"${said}"`))
      t.same(world.reissues, [], 'nobody is taken for dead because the broker was away')
      await invariants(t, world, { window })
    },
  )

  await t.test('a reorg in mid-window, with a part of its file uploaded', async t => {
    world.chain.setFinalityLag(NEVER)
    const { window, payload: first } = await world.nextWindow()
    await world.event('uploadopened', event => event.window === window)
    world.chain.reorg(world.chain.head().number - window + 1)
    world.chain.setFinalityLag(SOON)
    const { payload: second } = await world.event('opened', event => event.window === window && event.epoch === 2)
    t.not(second.hash, first.hash, 'block W has another hash')
    t.equal(second.hash, world.chain.hash(window), 'that of the chain')
    const { payload: skipped } = await becomes(t, world, { window, epoch: 1, state: 'SKIPPED' })
    t.match(skipped.reason, /reorg/, 'and says why')
    await becomes(t, world, { window, epoch: 2, state: 'UPLOADED' })
    await invariants(t, world, { window })
  })
  await invariants(t, world)
})

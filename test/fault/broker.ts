import t from 'tap'
import { invariants } from '../helpers/invariants.js'
import { natsServerAbsent } from '../helpers/nats-server.js'
import { becomes } from '../helpers/outcome.js'
import { PATIENCE_MS, startWorld } from '../helpers/world.js'

// The broker dies in the middle of a window and comes back with its store; the chain takes block W back.

/** Block W is final so many blocks later: until then the chain may take it back. */
const FINALITY_LAG = 10

t.setTimeout(PATIENCE_MS)
t.test('a broker that dies and a chain that reorganises', { skip: natsServerAbsent, timeout: PATIENCE_MS }, async t => {
  const world = await startWorld(t, { generators: 3, blockMs: 700, finalityLag: FINALITY_LAG })

  await t.test('kill -9 of nats-server in mid-window, its store kept', async t => {
    const { window } = await world.event('opened')
    await world.until('six groups are staged', () => world.events.filter(({ kind }) => kind === 'staged').length >= 6)
    await world.nats.kill()
    await world.nats.restart()
    const { payload: summary } = await becomes(t, world, { window, state: 'UPLOADED' })
    t.ok(summary.problems > 6, `with ${summary.problems} groups, more than before the kill`)
    t.equal(new Set(world.events.map(event => event.seq)).size, world.events.length, 'the journal has no event twice')
    await invariants(t, world, { window })
  })

  await t.test('a reorg in mid-window', async t => {
    const { window, payload: first } = await world.nextWindow()
    await world.event('staged', event => event.window === window)
    world.chain.reorg(world.chain.head().number - window + 1)
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

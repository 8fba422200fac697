import t from 'tap'
import { decodeClaim } from '../../src/window/claim.js'
import { objectKey } from '../../src/window/object.js'
import { invariants } from '../helpers/invariants.js'
import { natsServerAbsent } from '../helpers/nats-server.js'
import { PATIENCE_MS, startWorld } from '../helpers/world.js'

// One window from block W to its summary. The titles below are the journey; README and design.md tell the same.

const GENERATORS = 3
const ROLES = ['controller', 'aggregator', 'uploader']

t.setTimeout(PATIENCE_MS)
t.test('a fleet mines a window', { skip: natsServerAbsent, timeout: PATIENCE_MS }, async t => {
  const world = await startWorld(t, { generators: GENERATORS })
  const { window, payload: opened } = await world.event('opened')
  const mine = (event: { window: number; epoch: number }) => event.window === window && event.epoch === 1

  await t.test('window: opened at block W, with its hash, its randomness, its checkpoint and its timers', async t => {
    t.equal(window % 30, 0, 'a window starts at a multiple of 30 blocks')
    t.equal(opened.hash, world.chain.hash(window), 'its hash is that of block W')
    t.match(opened.randomness, /^[0-9a-f]{64}$/, 'its randomness follows from the hash')
    t.equal(opened.hotkey, world.hotkey, 'it is mined for the hotkey the aggregator holds')
    const { timers } = opened
    const order = ['claimsCloseMs', 'drainEndMs', 'completeByMs', 'abortAtMs', 'deadlineMs', 'verifyByMs'] as const
    t.same(
      order.map(name => timers[name]),
      order.map(name => timers[name]).sort((a, b) => a - b),
      'its timers are absolute and ascend',
    )
  })

  await t.test('claim: an index of the window, unique and dense over all generators', async t => {
    const entries = await world.until('a claim of every generator', () => {
      const found = world.claims.get(`${window}.1`) ?? []
      return new Set(found.map(({ value }) => decodeClaim(value).generator)).size === GENERATORS && found
    })
    t.same(
      entries.map(({ index }) => index),
      entries.map((_, i) => i),
      'the revision of an entry is its index + 1',
    )
    t.equal(decodeClaim(entries[0]!.value).checkpointWindow, opened.checkpoint.window, 'a claim says its checkpoint')
  })

  await t.test('group: 16 rollouts of one problem, staged under their digest', async t => {
    const { payload, index } = await world.event('staged', mine)
    t.equal(payload.rollouts, 16, 'a group has 16 rollouts')
    t.equal(payload.object, `${window}/1/${index}/${payload.digest}`, 'its blob is named by its content')
  })

  await t.test('block W: final under the window’s hash before anything may become visible', async t => {
    const { payload } = await world.event('final', mine)
    t.equal(payload.hash, opened.hash, 'it is the hash the groups were made with')
  })

  await t.test('draining and sealing: claims close, then the file', async t => {
    await world.event('state', event => mine(event) && event.payload.state === 'draining')
    await world.event('state', event => mine(event) && event.payload.state === 'sealing')
    t.pass('the controller says both')
  })

  await t.test('part and seal: the file is complete as bytes', async t => {
    const { payload: sealed, seq } = await world.event('sealed', mine)
    const parts = world.events.filter(event => event.kind === 'part' && mine(event))
    t.equal(parts.length, sealed.parts, 'all its parts were handed out')
    t.ok(
      parts.every(part => part.seq < seq),
      'before its seal',
    )
    t.equal(sealed.attempt, 1, 'at the first attempt')
    t.equal(sealed.rows, sealed.groups * 16, 'with 16 rows per group')
  })

  await t.test('object: completed before D − 3 s, verified', async t => {
    const completed = await world.event('completed', mine)
    const { payload: uploaded } = await world.event('uploaded', mine)
    t.equal(uploaded.key, objectKey(world.hotkey, window), 'it lies where validators look')
    t.equal(uploaded.etag, completed.payload.etag, 'HEAD has told the etag it was completed with')
    const last = world.events.filter(event => event.kind === 'timers' && mine(event)).at(-1)
    const timers = last?.kind === 'timers' ? last.payload.timers : opened.timers
    t.ok(completed.timeMs <= timers.completeByMs, 'three seconds before the deadline')
  })

  await t.test('summary: a line of every actor and one of the fleet', async t => {
    const { payload: summary } = await world.event('summarised', mine)
    t.equal(summary.state, 'UPLOADED', 'the window was uploaded')
    const actors = [
      'aggregator-test',
      'fleet',
      ...Array.from({ length: GENERATORS }, (_, i) => `generator-test-${i}`),
      'uploader-test',
    ]
    const lines = await world.until('a line of every actor', () => {
      const found = world.summaries.filter(mine)
      return actors.every(actor => found.some(line => line.actor === actor)) && found
    })
    t.equal(lines.length, actors.length, 'one each')
    t.same(new Set(lines.map(({ actor }) => actor)), new Set(actors), 'on grail.summary')
    const generated = lines
      .filter(({ state }) => state === 'STAGED' && true)
      .filter(({ actor }) => actor.startsWith('generator'))
    t.equal(
      generated.reduce((sum, { problems }) => sum + problems, 0),
      world.events.filter(event => event.kind === 'staged' && mine(event)).length,
      'generators have staged what the journal says',
    )
    await world.says(
      'controller',
      new RegExp(`\\[SUMMARY\\] fleet \\| window=${window} \\| rollouts=${summary.rollouts} \\| UPLOADED`),
    )
    t.pass('and the line miners grep for is in the log')
  })

  await t.test('nobody complained', async t => {
    // pino: 50 is error
    const errors = [...world.actors.values()].flatMap(({ lines }) => lines.filter(line => /"level":(50|60)/.test(line)))
    t.same(errors, [], 'no actor has logged an error')
    t.ok(
      ROLES.every(role => world.actor(role).lines.some(line => line.includes('"active"'))),
      'every role was active',
    )
  })

  await invariants(t, world)
})

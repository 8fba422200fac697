import t from 'tap'
import { invariants } from '../helpers/invariants.js'
import { natsServerAbsent } from '../helpers/nats-server.js'
import { becomes } from '../helpers/outcome.js'
import { PATIENCE_MS, startWorld, type World } from '../helpers/world.js'

// An aggregator that dies or stands still while a window's file is half written, and when it has just been sealed.

/** Groups of about 200 KB: a part of 5 MiB is full after 25 of them, in the middle of the window. Its file has two or three. */
const MAX_TOKENS = 4_096

/** A window whose file has a part when it is not yet sealed: where the first one has too few groups for that, a later one. */
async function halfWritten(world: World): Promise<number> {
  for (let { window } = await world.event('opened'); ; window = (await world.nextWindow()).window) {
    const first = await world.until('a part, or the whole file', () =>
      world.events.find(({ kind, window: of }) => of === window && (kind === 'uploadopened' || kind === 'sealed')),
    )
    if (first.kind === 'uploadopened') return window
  }
}

/** A group is staged, and the file begun: whoever begins it next makes its second attempt. */
async function assembling(world: World, window: number): Promise<void> {
  for (const kind of ['staged', 'assembling'] as const) await world.event(kind, event => event.window === window)
}

t.setTimeout(PATIENCE_MS)
t.test('aggregators that die and stand still', { skip: natsServerAbsent, timeout: PATIENCE_MS }, async t => {
  const world = await startWorld(t, {
    generators: 3,
    blockMs: 800,
    paceMs: 525,
    maxTokens: MAX_TOKENS,
    policy: 'part_bytes = 5242880',
    proxied: ['aggregator'],
  })

  await t.test('kill -9 with half a window written and its first part uploaded, then right after the seal', async t => {
    const window = await halfWritten(world)
    const sealed = world.proxy('aggregator').hold('after', ({ subject }) => subject.endsWith('.file.sealed'))
    await world.actor('aggregator').kill()
    const { payload } = await world.event('assembling', event => event.window === window && event.payload.attempt === 2)
    t.match(payload.aggregator, /^aggregator-test\./, 'it begins the file again, as its second attempt')
    await sealed
    await world.actor('aggregator').kill()
    await becomes(t, world, { window, state: 'UPLOADED' })
    t.notOk(
      world.events.some(event => event.kind === 'assembling' && event.window === window && event.payload.attempt > 2),
      'a sealed file is not made again',
    )
    await invariants(t, world, { window })
  })
  await world.active('aggregator')

  await t.test('a standby takes over from one that is gone', async t => {
    world.begin('aggregator@spare')
    await world.present('aggregator-spare')
    const { window } = await world.nextWindow()
    await assembling(world, window)
    await world.actor('aggregator').bury()
    const { payload } = await world.event('assembling', event => event.window === window && event.payload.attempt === 2)
    t.match(payload.aggregator, /^aggregator-spare\./, 'the other one begins the file again')
    await becomes(t, world, { window, state: 'UPLOADED' })
    await invariants(t, world, { window })
  })

  await t.test('one that stands still, is replaced and comes back is out of the game', async t => {
    world.actor('aggregator').start()
    await world.present('aggregator-test')
    const { window } = await world.nextWindow()
    await assembling(world, window)
    const hung = world.actor('aggregator@spare')
    hung.signal('SIGSTOP')
    const { payload } = await world.event('assembling', event => event.window === window && event.payload.attempt === 2)
    t.match(payload.aggregator, /^aggregator-test\./, 'the other one begins the file again')
    hung.signal('SIGCONT')
    await becomes(t, world, { window, state: 'UPLOADED' })
    const { payload: uploaded } = await world.event('uploaded', event => event.window === window)
    t.ok(uploaded.attempt >= 2, 'and it is not the file of the one that stood still')
  })
  await invariants(t, world)
})

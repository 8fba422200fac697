import t, { type Test } from 'tap'
import type { WindowState } from '../../actors/controller/messages.js'
import { decodeClaim } from '../../src/window/claim.js'
import { invariants } from '../helpers/invariants.js'
import type { Held, Published } from '../helpers/nats-proxy.js'
import { natsServerAbsent } from '../helpers/nats-server.js'
import { becomes } from '../helpers/outcome.js'
import { PATIENCE_MS, startWorld, type World } from '../helpers/world.js'

// A controller that dies in every state of a window. What it knew is in the journal; what it did not say is said by the next one.

/** Who ends a state by saying what: a window stands still in it while that word is held back. */
const LAST_WORDS = {
  preparing: { of: 'controller', subject: '.control.opened' },
  sealing: { of: 'aggregator', subject: '.file.sealed' },
  uploading: { of: 'uploader', subject: '.file.completed' },
  verifying: { of: 'uploader', subject: '.file.uploaded' },
} satisfies Partial<Record<WindowState, { of: string; subject: string }>>

t.setTimeout(PATIENCE_MS)
t.test('a controller that dies in every state', { skip: natsServerAbsent, timeout: PATIENCE_MS }, async t => {
  const world = await startWorld(t, {
    generators: 3,
    // A window of 27 s, 17 s of them to mine in: a controller comes back in the middle of it also on a busy machine.
    blockMs: 900,
    proxied: ['controller', 'aggregator', 'uploader'],
  })

  async function killIn(state: keyof typeof LAST_WORDS, held: Promise<Held>): Promise<void> {
    const { release } = await held
    await world.active('controller')
    await world.actor('controller').kill()
    t.pass(`killed in ${state}`)
    release()
  }

  await t.test('in preparing, and in draining', async t => {
    await killIn('preparing', standstill(world, 'preparing'))
    const { window } = await world.event('opened')
    await world.event('state', event => event.window === window && event.payload.state === 'draining')
    await world.actor('controller').kill()
    await isUploaded(t, world, window)
  })

  await world.active('controller')
  await t.test('in generating, together with two generators; and in uploading', async t => {
    const { window } = await world.nextWindow()
    const held = standstill(world, 'uploading')
    await world.until('four claims', () => (world.claims.get(`${window}.1`)?.length ?? 0) >= 4)
    const dying = [world.actor('generator-0'), world.actor('generator-1')]
    await Promise.all([world.actor('controller').kill(), ...dying.map(actor => actor.bury())])
    await world.active('controller')
    await killIn('uploading', held)
    await isUploaded(t, world, window)
    const again = world.reissues.filter(reissue => reissue.window === window).map(({ index }) => index)
    t.ok(again.length >= 2, `${again.length} indices were left by two dead generators`)
    const owners = new Map(
      world.claims.get(`${window}.1`)?.map(claim => [claim.index, decodeClaim(claim.value).generator]),
    )
    // The death of one may be known before that of the other.
    for (const owner of new Set(again.map(index => owners.get(index)))) {
      const its = again.filter(index => owners.get(index) === owner)
      t.same(
        its,
        its.toSorted((a, b) => a - b),
        `the next controller has re-issued what ${owner} left, lowest first`,
      )
    }
    for (const actor of dying) actor.start()
  })

  await world.active('controller')
  await t.test('in sealing, and in verifying', async t => {
    const { window } = await world.nextWindow()
    const verifying = standstill(world, 'verifying')
    await killIn('sealing', standstill(world, 'sealing'))
    await killIn('verifying', verifying)
    await isUploaded(t, world, window)
  })
  await world.active('controller')
  await invariants(t, world)
})

function standstill(world: World, state: keyof typeof LAST_WORDS): Promise<Held> {
  const { of, subject } = LAST_WORDS[state]
  return world.proxy(of).hold('before', (published: Published) => published.subject.endsWith(subject))
}

async function isUploaded(t: Test, world: World, window: number): Promise<void> {
  await becomes(t, world, { window, state: 'UPLOADED' })
  await invariants(t, world, { window })
}

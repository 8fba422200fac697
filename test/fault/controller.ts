import t, { type Test } from 'tap'
import type { WindowState } from '../../actors/controller/messages.js'
import { invariants } from '../helpers/invariants.js'
import type { Published } from '../helpers/nats-proxy.js'
import { natsServerAbsent } from '../helpers/nats-server.js'
import { PATIENCE_MS, startWorld, type World } from '../helpers/world.js'

// A controller that dies in every state of a window. What it knew is in the journal; what it did not say is said by the next one.

/** A state of a window, held by stopping the one actor whose next word would end it. */
interface Standstill {
  state: WindowState
  /** Whose word. */
  of: string
  isNext(published: Published): boolean
}

const says = (ending: string) => (published: Published) => published.subject.endsWith(ending)

const STANDSTILLS: Record<string, Standstill> = {
  preparing: { state: 'preparing', of: 'controller', isNext: says('.control.opened') },
  sealing: { state: 'sealing', of: 'aggregator', isNext: says('.file.sealed') },
  uploading: { state: 'uploading', of: 'uploader', isNext: says('.file.completed') },
  verifying: { state: 'verifying', of: 'uploader', isNext: says('.file.uploaded') },
}

t.setTimeout(PATIENCE_MS)
t.test('a controller that dies in every state', { skip: natsServerAbsent, timeout: PATIENCE_MS }, async t => {
  const world = await startWorld(t, {
    generators: 4,
    // A window of 30 s: a controller comes back in the middle of it also on a busy machine.
    blockMs: 1_000,
    proxied: ['controller', 'aggregator', 'uploader'],
  })
  let lives = 1

  /** kill -9 while the window stands still in a state; resolves when the next life has taken over. */
  async function killIn(name: keyof typeof STANDSTILLS, held: ReturnType<typeof standstill>): Promise<void> {
    const { release } = await held
    await world.actor('controller').kill()
    await world.active('controller', ++lives)
    release()
  }

  await t.test('in preparing, and in draining', async t => {
    await killIn('preparing', standstill(world, 'preparing'))
    const { window } = await world.event('opened')
    await stateOf(world, window, 'draining')
    await world.actor('controller').kill()
    await world.active('controller', ++lives)
    await isUploaded(t, world, window)
  })

  await t.test('in generating, together with two generators; and in uploading', async t => {
    const { window } = await world.nextWindow()
    const held = standstill(world, 'uploading')
    await world.until('four claims', () => (world.claims.get(`${window}.1`)?.length ?? 0) >= 4)
    const [one, other] = [world.actor('generator-0'), world.actor('generator-1')]
    await Promise.all([world.actor('controller').kill(), one.bury(), other.bury()])
    await world.active('controller', ++lives)
    await killIn('uploading', held)
    await isUploaded(t, world, window)
    const again = world.reissues.filter(reissue => reissue.window === window).map(({ index }) => index)
    t.ok(again.length >= 2, `${again.length} indices were left by two dead generators`)
    t.same(
      again,
      again.toSorted((a, b) => a - b),
      'the next controller has re-issued them, lowest first',
    )
    one.start()
    other.start()
  })

  await t.test('in sealing, and in verifying', async t => {
    const { window } = await world.nextWindow()
    const held = standstill(world, 'verifying')
    await killIn('sealing', standstill(world, 'sealing'))
    await killIn('verifying', held)
    await isUploaded(t, world, window)
  })
  await invariants(t, world)
})

function standstill(world: World, name: keyof typeof STANDSTILLS) {
  const { of, isNext } = STANDSTILLS[name] as Standstill
  return world.proxy(of).hold('before', isNext)
}

function stateOf(world: World, window: number, state: WindowState) {
  return world.event('state', event => event.window === window && event.payload.state === state)
}

async function isUploaded(t: Test, world: World, window: number): Promise<void> {
  const { payload: summary } = await world.event('summarised', event => event.window === window)
  t.equal(summary.state, 'UPLOADED', 'the window is uploaded')
  t.equal(world.events.filter(event => event.kind === 'opened' && event.window === window).length, 1, 'opened once')
  await invariants(t, world, { window })
}

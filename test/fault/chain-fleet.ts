import t, { type Test } from 'tap'
import { decodePresence } from '../../actors/presence.js'
import { FLEET } from '../../actors/streams.js'
import { watchPresence } from '../../nats/index.js'
import { windowEnd, windowOf } from '../../src/window/block.js'
import { actorLog } from '../helpers/actor-log.js'
import { invariants } from '../helpers/invariants.js'
import { natsServerAbsent, until } from '../helpers/nats-server.js'
import { becomes } from '../helpers/outcome.js'
import { PATIENCE_MS, startWorld, type World } from '../helpers/world.js'

// A whole fleet whose controller reaches the chain over two nodes, each behind a proxy: what nodes and links do, and what
// becomes of the windows. Every fault waits for what it needs; none counts on how fast the machine is.

/** Heads that stay away for this long are a stall; a half-open link is noticed sooner. */
const STALL_MS = 9_000
const FINALITY_LAG = 2
/** With more blocks than a window has between the best and the final one, nothing of it is final before its deadline. */
const FOREVER = 100
/** Without the chain everything is to be done so much earlier at least, ms. */
const LARGER_MARGIN_MS = 1_000
/** Blocks of a window that are never announced. */
const SKIPPED_HEADS = 2
const FOLLOWS = 0
const MAKES = 1

t.setTimeout(PATIENCE_MS)
t.test('a chain that fails a fleet', { skip: natsServerAbsent, timeout: PATIENCE_MS }, async t => {
  const world = await startWorld(t, {
    generators: 2,
    blockMs: 600,
    finalityLag: FINALITY_LAG,
    twoNodes: true,
    stallMs: STALL_MS,
  })
  const { chain } = world
  const nodes = world.nodes()
  const kill = () => Promise.all(nodes.proxies.map(proxy => proxy.kill()))
  const restart = () => Promise.all(nodes.proxies.map(proxy => proxy.restart()))
  const log = controllerLog(world)

  await t.test('a node that falls behind is left for the other, and its window is uploaded', async t => {
    const { window } = await world.event('opened')
    await isMined(world, window)
    await log.connectedTo(FOLLOWS)
    nodes.lag(true)
    await log.says(/chain connection lost/, /lags: block/)
    await log.connects(MAKES)
    nodes.lag(false)
    await isUploaded(t, world, window)
  })

  await t.test('a link that is half open is left for the other node; then the runtime is upgraded', async t => {
    const { window } = await world.nextWindow()
    await isMined(world, window)
    await log.connectedTo(MAKES)
    nodes.proxies[MAKES].hole(true)
    await log.connects(FOLLOWS)
    nodes.proxies[MAKES].hole(false)
    nodes.upgrade()
    await isUploaded(t, world, window)
  })

  await t.test(
    'both nodes lost in mid-window: uploaded with a larger margin; a window that passes is told',
    async t => {
      const { window } = await world.nextWindow()
      await isMined(world, window)
      await kill()
      t.ok((await marginOf(world, window)) >= LARGER_MARGIN_MS, 'the deadline is extrapolated, and all is done earlier')
      await isUploaded(t, world, window)
      await log.says(/ALARM: no new block/)
      t.equal(world.window(), window, 'nothing was opened meanwhile')
      // Of the next window no block is ever seen. The one after it is for the next test: block W is not final in it.
      nodes.setFinalityLag(FOREVER)
      chain.stall(true)
      await restart()
      await log.connects()
      const lost = windowEnd(windowOf(chain.head().number))
      world.jump(windowEnd(lost) + SKIPPED_HEADS)
      chain.stall(false)
      const { payload: summary } = await becomes(t, world, { window: lost, state: 'SKIPPED' })
      t.match(summary.reason, /no block of it was seen/)
      const { payload } = await world.event('opened', event => event.window === windowEnd(lost))
      t.equal(
        payload.block,
        windowEnd(lost) + SKIPPED_HEADS,
        'the first head of a window opens it, whatever its number',
      )
      t.equal(payload.hash, chain.hash(windowEnd(lost)), 'by the hash of its first block')
    },
  )

  await t.test('both nodes lost before block W is final: nothing is uploaded, and the summary says why', async t => {
    const window = world.window()
    await log.says(/ALARM: finality lags/)
    await world.event('staged', event => event.window === window)
    await kill()
    const { payload } = await becomes(t, world, { window, state: 'MISSED' })
    t.match(payload.reason, /hash of block W was not final in time/)
    await invariants(t, world, { window })
    await restart()
    await log.connects()
    nodes.setFinalityLag(FINALITY_LAG)
  })

  await t.test(
    'a chain that stands still at a boundary: the fleet idles, alarms, and goes on with the chain',
    async t => {
      chain.stall(true)
      const boundary = windowEnd(windowOf(chain.head().number))
      world.jump(boundary - 1)
      await log.says(/ALARM: no new block/)
      t.ok(world.window() < boundary, 'nothing was opened')
      await until('who asks for the status is told', async () =>
        (await stateOf(world, 'controller')) === 'active, no block comes' ? true : undefined,
      )
      chain.stall(false)
      const { payload } = await world.event('opened', event => event.window === boundary)
      t.equal(payload.hash, chain.hash(boundary))
      await isUploaded(t, world, boundary)
    },
  )
  await invariants(t, world)
})

/** Something of the window is staged, and its hash is final. */
async function isMined(world: World, window: number): Promise<void> {
  await world.event('staged', event => event.window === window)
  await world.event('final', event => event.window === window)
}

async function isUploaded(t: Test, world: World, window: number): Promise<void> {
  await becomes(t, world, { window, state: 'UPLOADED' })
  await invariants(t, world, { window })
}

/** How much earlier the deadline is since the chain is away, ms. */
async function marginOf(world: World, window: number): Promise<number> {
  const away = await world.event('timers', event => event.window === window && /away/.test(event.payload.why))
  const deadlines = world.events.flatMap(event =>
    event.window === window && event.seq < away.seq && (event.kind === 'timers' || event.kind === 'opened')
      ? [event.payload.timers.deadlineMs]
      : [],
  )
  return (deadlines.at(-1) ?? Number.NaN) - away.payload.timers.deadlineMs
}

/** To which node the controller is connected, by its log. */
function controllerLog(world: World) {
  const { says, last } = actorLog(world.actor('controller'))
  const CONNECTED = /"msg":"chain connected"/
  const nodeOf = (node?: number) => new RegExp(node === undefined ? '' : (world.nodes().urls[node] as string))
  return {
    says,
    connects: (node?: number) => says(CONNECTED, nodeOf(node)),
    /** Sees to it that this node is the one it is connected to: a busy moment may have driven it to the other. */
    async connectedTo(node: number): Promise<void> {
      if (nodeOf(node).test(last(CONNECTED) ?? '')) return
      const other = world.nodes().proxies[1 - node]
      await other?.kill()
      await says(CONNECTED, nodeOf(node))
      await other?.restart()
    },
  }
}

/** What an actor says of itself to whoever asks. */
async function stateOf(world: World, role: string): Promise<string | undefined> {
  const end = new AbortController()
  let state: string | undefined
  const presences = watchPresence(world.broker, FLEET, {
    signal: end.signal,
    onChange: change => {
      if (change.type === 'gone') return
      const presence = decodePresence(change.bytes)
      if (presence.role === role) state = presence.state
    },
  })
  await presences.caughtUp
  end.abort()
  await presences.done.catch(() => {})
  return state
}

import { getEventListeners } from 'node:events'
import t, { type Test } from 'tap'
import { systemClock } from '../../../actors/actor.js'
import { bell } from '../../../actors/bell.js'
import { ensureStreams } from '../../../actors/ensure.js'
import type { Desk } from '../../../actors/generator/desk.js'
import type { Equipment, Loan } from '../../../actors/generator/equipment.js'
import { trackInFlight } from '../../../actors/generator/in-flight.js'
import { runLane } from '../../../actors/generator/lane.js'
import type { Workshop } from '../../../actors/generator/make-group.js'
import type { OpenWindow } from '../../../actors/windows.js'
import { ensureClaimBucket } from '../../../nats/index.js'
import { GRAIL_V5 } from '../../../src/protocol/profile.js'
import { claimsOf } from '../../../src/window/claim.js'
import { timersOf } from '../../../src/window/deadline.js'
import { brokerOf, inTime, natsServerAbsent, startNats, until } from '../../helpers/nats-server.js'
import { named, outside, windowOf } from './helpers/parts.js'

// One lane at a real broker, with an engine and an equipment that a test moves.

/** What groups are expected to take, ms: the next index is claimed half of it after a group has begun. */
const GROUP_MS = 20
/** Far enough that no window ends by itself. */
const DEADLINE_MS = 3_600_000

interface Lane {
  /** Aborts the generator. */
  end: AbortController
  window: OpenWindow
  /** Is the window's checkpoint loaded? */
  holds: boolean
  /** Indices in flight. */
  indices(): number[]
}

/**
 * @param generate what the engine does before it answers
 * @param borrow what happens before a workshop is lent
 */
async function startLane(
  t: Test,
  { generate, borrow }: { generate(lane: Lane): Promise<void>; borrow(lane: Lane): Promise<void> },
): Promise<Lane> {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  await ensureStreams(broker, { replicas: 1, presenceMs: 4_000, leaseMs: 4_000, signal: inTime() })
  const timers = timersOf(Date.now() + DEADLINE_MS, 10_000, GROUP_MS)
  const window: OpenWindow = { ...windowOf(3_000, named(900)), timers }
  await ensureClaimBucket(broker, claimsOf(window.window, window.epoch), { signal: inTime() })
  const end = new AbortController()
  const changed = bell()
  const inFlight = trackInFlight(() => changed.ring())
  const lane: Lane = { end, window, holds: true, indices: () => inFlight.newest()?.indices ?? [] }
  const { log } = outside().parts
  const desk = {
    parts: { broker, log, clock: systemClock, instance: 'generator-test-0', boot: '1', holes: 'keep' },
    inFlight,
    pace: { groupMs: () => GROUP_MS, luckyMs: () => GROUP_MS, stagingMs: () => 0, finished: () => {} },
    signal: end.signal,
  } as unknown as Desk
  const shop = {
    profile: GRAIL_V5,
    metadata: { window: 900, generation: { maxTokens: 64 } },
    facts: { checkpointWindow: 900, weightsHash: '' },
    tokenizer: { renderPrompt: () => '', encode: () => new Int32Array(1) },
    environment: { problem: () => ({ prompt: '' }), reward: () => Promise.reject(new Error('no judge')) },
    engine: {
      async generate() {
        await generate(lane)
        const model = { checkpointWindow: 900, weightsHash: '' }
        return { model, completions: [], seconds: { generate: 0, prove: 0 } }
      },
    },
  } as unknown as Workshop
  const equipment = {
    holds: () => lane.holds,
    async borrow(): Promise<Loan> {
      await borrow(lane)
      return { shop, giveBack: () => {} }
    },
  } as unknown as Equipment
  const windows = { latest: () => window } as Parameters<typeof runLane>[2]['windows']
  const running = runLane(desk, 0, { windows, changed, equipment, busy: () => {} })
  t.teardown(async () => {
    end.abort(new Error('the test is over'))
    await running
  })
  return lane
}

const nextIsClaimed = ({ indices }: Lane) =>
  until('the next index is claimed', () => indices().length === 2 || undefined)

t.test(
  'what was claimed ahead is left to others before weights are waited for',
  { skip: natsServerAbsent },
  async t => {
    let waits = false
    const lane = await startLane(t, {
      async generate(lane) {
        await nextIsClaimed(lane)
        lane.holds = false
      },
      async borrow({ holds, end }) {
        if (holds) return
        waits = true
        await new Promise<void>(resolve => end.signal.addEventListener('abort', () => resolve(), { once: true }))
      },
    })
    await until('it waits for weights', () => waits || undefined)
    await until('nothing is in flight', () => lane.indices().length === 0 || undefined)
    t.pass('so the controller gives it to another one')
  },
)

t.test('groups leave nothing behind on the signal of the process', { skip: natsServerAbsent }, async t => {
  const GROUPS = 5
  let groups = 0
  const joined = t.capture(AbortSignal, 'any', AbortSignal.any)
  const lane = await startLane(t, {
    async generate(lane) {
      await nextIsClaimed(lane)
      if (++groups === GROUPS) lane.window.state = 'sealing'
    },
    borrow: async () => {},
  })
  await until('all groups were made', () => groups === GROUPS || undefined)
  await until('nothing is in flight', () => lane.indices().length === 0 || undefined)
  t.equal(
    joined().filter(({ args: [signals] }) => [...signals].includes(lane.end.signal)).length,
    0,
    'AbortSignal.any leaks in Node 20',
  )
  const left = await until(
    'one listener at most: the idle lane',
    () => getEventListeners(lane.end.signal, 'abort').length <= 1 || undefined,
  )
  t.ok(left)
})

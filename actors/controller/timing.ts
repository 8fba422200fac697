import { announce } from '../../nats/index.js'
import type { Chain, Head } from '../../src/chain/chain.js'
import { deadlineOf, extrapolateEnd, windowEnd } from '../../src/window/block.js'
import { GROUP_SAMPLES, p90, type Timers, tailOf, timersOf } from '../../src/window/deadline.js'
import type { JournalEvent } from '../journal.js'
import { HISTORY_SPANS, measureBlockTime } from './block-time.js'
import { type Ledger, send, stateOf } from './ledger.js'
import { timersMoved } from './messages.js'
import type { ControllerParts } from './options.js'

/** Timers are announced anew only when D moved by more than this, ms: blocks jitter by less. */
const TIMERS_MOVED_MS = 250
/** Claims are closed at another time only when the fleet's p90 changed by more than this part of itself. */
const PACE_MOVED = 0.25
/** Without the chain D is only extrapolated: everything is done this much earlier, ms, as one block may come that much early. */
const CHAIN_LOST_MARGIN_MS = 2_000

/** What the controller measures, and the timers that follow from it. */
export interface Timing {
  /** What past windows teach about the next one's timers. */
  learn(ledger: Ledger, event: JournalEvent): void
  /** A best head, in the order they come. The first one is asked for the pace before it. */
  seen(head: Head): Promise<void>
  chainIs(up: boolean): void
  /** p90 of a group over the fleet, ms; 0 before the first. */
  groupMs(): number
  timersFor(window: number, head: Head): Timers
  /** Moves an open window's timers when the chain or the fleet's pace did. */
  remeasure(ledger: Ledger): Promise<void>
}

export function measureTiming(parts: ControllerParts, signal: AbortSignal): Timing {
  const { broker, chain, clock } = parts
  const blockTime = measureBlockTime()
  const tails: number[] = []
  const groups: number[] = []
  let best: Head | undefined
  let lost = false

  const groupMs = () => p90(groups) ?? 0
  const timersFor = (window: number, head: Head) => {
    const deadlineMs = deadlineOf(extrapolateEnd(window, head, blockTime.blockMs()))
    return timersOf(deadlineMs - (lost ? CHAIN_LOST_MARGIN_MS : 0), tailOf(tails, parts.firstTailMs), groupMs())
  }

  return {
    learn(ledger, event) {
      if (event.kind === 'staged') {
        const { prompt, generate, prove, reward, stage } = event.payload.seconds
        groups.push((prompt + generate + prove + reward + stage) * 1000)
        if (groups.length > GROUP_SAMPLES) groups.shift()
      }
      if (ledger.sealingMs === undefined) return
      // A sealed file that was not complete in time took longer than this, too: else a line that got slow would be missed window after window.
      const missed = event.kind === 'uploadfailed' && isLate(ledger, event.timeMs)
      if (event.kind === 'uploaded' || missed) tails.push(event.timeMs - ledger.sealingMs)
      if (tails.length > GROUP_SAMPLES) tails.shift()
    },
    async seen(head) {
      if (best === undefined) await learnPace(chain, head, signal, blockTime.before)
      best = head
      blockTime.seen(head)
    },
    chainIs(up) {
      lost = !up
    },
    groupMs,
    timersFor,
    async remeasure(ledger) {
      if (!ledger.opened || !best || best.number > windowEnd(ledger.window)) return
      const timers = timersFor(ledger.window, best)
      const now = ledger.machine.context.timers
      const deadlineMoved = Math.abs(timers.deadlineMs - now.deadlineMs) > TIMERS_MOVED_MS
      const paceMoved =
        stateOf(ledger) === 'generating' &&
        Math.abs(timers.claimsCloseMs - now.claimsCloseMs) > TIMERS_MOVED_MS + groupMs() * PACE_MOVED
      if (!deadlineMoved && !paceMoved) return
      const why = deadlineMoved
        ? lost
          ? 'the chain is away: D is extrapolated'
          : `block ${best.number}`
        : `groups take ${Math.round(groupMs())} ms`
      const holes = { window: ledger.window, epoch: ledger.epoch }
      await announce(broker, timersMoved, holes, { timers, atMs: clock.now(), why }, { signal })
      send(ledger, { type: 'TIMERS', timers })
    },
  }
}

/** Was the upload given up because its time was over, though the file was there and its hash final? */
function isLate({ attempt, final, machine }: Ledger, timeMs: number): boolean {
  return attempt.sealed !== undefined && final && timeMs >= machine.context.timers.abortAtMs
}

/** The pace of the blocks before the first head we saw, as far back as the chain knows. */
async function learnPace(
  chain: Chain,
  head: Head,
  signal: AbortSignal,
  before: (span: number, elapsedMs: number) => void,
): Promise<void> {
  for (const span of HISTORY_SPANS) {
    if (head.number <= span) continue
    const thenMs = await chain.timestamp(head.number - span, signal).catch(() => undefined)
    if (thenMs === undefined) continue
    before(span, head.timestampMs - thenMs)
    return
  }
}

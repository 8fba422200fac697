import { announce, subjects } from '../../nats/index.js'
import { LIST_GRACE_MS, orphans } from '../../src/window/claim.js'
import { REISSUE } from '../streams.js'
import type { Desk } from './desk.js'
import { type Ledger, settled, stateOf } from './ledger.js'
import { reissued } from './messages.js'

/** An index that this many generators in a row did not finish is left as a hole: it is the index that is broken. */
const MOST_ATTEMPTS = 5

/** Indices nobody works on go to the reissue queue, lowest first, as long as a group can still be made. */
export async function reissueOrphans({ parts, fleet, timing, signal }: Desk, ledger: Ledger): Promise<void> {
  const { broker, clock, log } = parts
  const { window, epoch } = ledger
  const state = stateOf(ledger)
  if (state !== 'generating' && state !== 'draining') return
  if (clock.now() + timing.groupMs() > ledger.machine.context.timers.drainEndMs) return
  const alive = fleet.alive(window, epoch)
  const candidates = orphans({ claims: ledger.claims.values(), settled: settled(ledger), alive })
  if (candidates.length === 0) return
  const queued = await subjects(broker, REISSUE, reissued.matching({ window, epoch }), { signal })
  for (const index of candidates) {
    if (queued.has(reissued.at({ window, epoch, index }))) continue
    const before = ledger.reissued.get(index)
    // Taken from the queue a moment ago: its new owner is about to say so.
    if (before && clock.now() - before.atMs < LIST_GRACE_MS) continue
    const attempt = (before?.attempt ?? 0) + 1
    if (attempt > MOST_ATTEMPTS) continue
    ledger.reissued.set(index, { attempt, atMs: clock.now() })
    const owner = ledger.claims.get(index)
    log.warn({ window, index, owner: owner?.generator, attempt }, 'index that nobody works on is re-issued')
    await announce(broker, reissued, { window, epoch, index }, { index, attempt }, { signal })
  }
}

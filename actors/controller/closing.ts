import { announce, dropClaimBucket, purgeSubject, tell } from '../../nats/index.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { claimsOf } from '../../src/window/claim.js'
import { summaryLine } from '../../src/window/summary.js'
import { REISSUE } from '../streams.js'
import type { Desk } from './desk.js'
import { type Ledger, settled, stateOf, summaryOf } from './ledger.js'
import { entered, hashFinal, reissued, summarised, summaryLive, type WindowState } from './messages.js'

/** Groups and parts are kept for this many windows after their own. */
const WINDOWS_STAGED = 2

/** Has everything that was claimed been settled, and can nothing more be claimed? Then the file is sealed early. */
export function isDrained({ parts, fleet, timing }: Desk, ledger: Ledger): boolean {
  if (stateOf(ledger) !== 'draining' || ledger.claims.size === 0) return false
  const done = settled(ledger)
  for (const index of ledger.claims.keys()) if (!done.has(index)) return false
  const leftMs = ledger.machine.context.timers.drainEndMs - parts.clock.now()
  const anyMayClaim = fleet
    .members()
    .some(
      ({ role, claimMs, groupMs, inFlight }) =>
        role === 'generator' && ((inFlight?.length ?? 0) > 0 || (claimMs ?? groupMs ?? timing.groupMs()) <= leftMs),
    )
  return ledger.claims.size >= parts.maxGroups || !anyMayClaim
}

/**
 * Tells the uploader once block W is final under the window's hash. The node that says so must say which hash is final:
 * the hash of another node, which is not so far yet, may be one that a reorg has taken away.
 */
export async function confirmFinal({ parts, signal, move }: Desk, ledger: Ledger, finalNumber: number): Promise<void> {
  if (ledger.final || !ledger.opened || finalNumber < ledger.window) return
  const { window, epoch } = ledger
  const hash = await parts.chain.finalHash(window, signal)
  if (hash === undefined) return
  if (hash !== ledger.opened.hash) {
    await move(ledger, { type: 'SUPERSEDED', reason: `reorg: block ${window} is final as ${hash}` })
    return
  }
  await announce(parts.broker, hashFinal, { window, epoch }, { hash }, { signal })
  ledger.final = true
}

/**
 * Says how the window ended and what it came to: in the journal, live, and as the line operators look for. The end is said
 * here whether or not it was said when the machine came to it: that word may not have reached the broker, and an end that
 * follows from another's event was nobody's to say. Who works on the window waits for it.
 */
export async function summarise({ parts, signal }: Desk, ledger: Ledger): Promise<void> {
  const { broker, clock } = parts
  const holes = { window: ledger.window, epoch: ledger.epoch }
  const summary = summaryOf(ledger)
  const end = {
    state: stateOf(ledger) as WindowState,
    atMs: clock.now(),
    why: ledger.machine.context.reason,
  }
  await announce(broker, entered, holes, end, { signal })
  await announce(broker, summarised, holes, summary, { signal })
  ledger.summarised = true
  tell(broker, summaryLive, {}, summary)
  parts.say(summaryLine(summary, new Date(clock.now())))
}

/**
 * Lifetimes of design.md §3: claims and re-issued indices until the summary, groups and parts for two windows. Done once by
 * every controller for every window it knows: the one that summarised it may have died in between.
 */
export async function forget({ parts, ledgers, signal }: Desk, ledger: Ledger): Promise<void> {
  const { broker } = parts
  const { window, epoch } = ledger
  ledgers.unfollowClaims(ledger)
  await dropClaimBucket(broker, claimsOf(window, epoch), { signal })
  await purgeSubject(broker, REISSUE, reissued.matching({ window, epoch }), { signal })
  ledger.forgotten = true
  const oldest = window - (WINDOWS_STAGED - 1) * WINDOW_BLOCKS
  for (const store of [parts.rollouts, parts.parts])
    for (const name of await store.names({ signal }))
      if (Number(name.split('/')[0]) < oldest) await store.forget(name, { signal })
}

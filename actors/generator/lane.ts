import { isBrokerError } from '../../nats/index.js'
import type { Bell } from '../bell.js'
import type { Windows } from '../windows.js'
import type { Desk } from './desk.js'
import type { Equipment, Loan } from './equipment.js'
import { isMineable } from './last-claim.js'
import { claimingAhead } from './next-index.js'
import { taking } from './take.js'
import { work } from './work.js'

/** How long an idle lane sleeps at most before it looks again whether the window took a turn. */
const IDLE_MS = 1_000
/** Groups of one lane that may be rewarded and staged while the engine is busy with the next one. */
const STAGING_IN_FLIGHT = 2
/** Pause after the first group an engine failed on, and the longest one, ms. */
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 30_000

export interface LaneParts {
  windows: Windows
  changed: Bell
  equipment: Equipment
  /** Told whether this lane is at work. */
  busy(now: boolean): void
}

/** One lane: claim an index, make its group, hand it to staging, again, the next index claimed meanwhile; it ends with the signal, when all is staged. */
export async function runLane(
  desk: Desk,
  lane: number,
  { windows, changed, equipment, busy }: LaneParts,
): Promise<void> {
  const { parts, signal } = desk
  const { clock, log } = parts
  const indices = claimingAhead(desk, taking(desk, lane))
  const staging = new Set<Promise<void>>()
  let failures = 0

  while (!signal.aborted) {
    const window = windows.latest()
    // Held from before the claim until the group is staged: the weights stay what they are so long.
    let loan: Loan | undefined
    // What was claimed ahead is left to others before weights are waited for: that may take minutes.
    if (window && !equipment.holds(window.opened.checkpoint)) indices.giveBack()
    try {
      loan = window && isMineable(desk, window, clock.now()) ? await equipment.borrow(window) : undefined
      // A server that is full, or lost memory, takes fewer groups: the lanes beyond that rest.
      const mayRun = lane < (loan?.shop.engine.inFlight?.() ?? Number.POSITIVE_INFINITY)
      const waitMs = loan?.shop.engine.waitMs?.() ?? 0
      if (!window || !loan || !mayRun || !isMineable(desk, window, clock.now(), waitMs)) {
        busy(false)
        indices.giveBack()
        loan?.giveBack()
        await changed.wait(IDLE_MS, signal)
        continue
      }
      busy(true)
      const index = await indices.next(window)
      if (index === undefined) continue
      indices.ahead(window, waitMs)
      const worked = await work(desk, window, loan.shop, index)
      if (worked === 'stopped') continue
      if (typeof worked === 'object' && 'distrust' in worked) equipment.distrust(loan.shop, worked.distrust)
      if (worked === 'failed' || 'distrust' in worked) {
        indices.giveBack()
        loan.giveBack()
        // A broken engine must not eat the window's indices: each failure waits twice as long as the one before.
        await clock.sleep(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures++), signal)
        continue
      }
      failures = 0
      const { shop, giveBack } = loan
      loan = undefined
      const handedOver = worked.staging.then(isStaged => {
        staging.delete(handedOver)
        if (isStaged) equipment.trust(shop)
        giveBack()
      })
      staging.add(handedOver)
      if (staging.size >= STAGING_IN_FLIGHT) await Promise.race(staging)
    } catch (error) {
      if (signal.aborted) break
      // The window's cap is reached, it was sealed, or its claims are gone: there will be another window.
      const closed = isBrokerError(error) && error.next === 'never'
      if (!closed && !window?.worthless.aborted) log.warn({ err: error }, 'no index to be had just now')
      busy(false)
      loan?.giveBack()
      await changed.wait(IDLE_MS, signal)
    } finally {
      loan?.giveBack()
    }
  }
  await Promise.allSettled(staging)
}

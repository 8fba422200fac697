import { mayClaim } from '../../src/window/deadline.js'
import { isOver, type OpenWindow } from '../windows.js'
import type { Desk } from './desk.js'
import type { Pace } from './pace.js'

/** How long a group is expected to take from its turn on, ms: the own p90; before the first group the fleet's, which lies between the moments claims close and draining ends. */
export function expectedMs({ timers }: OpenWindow, pace: Pace): number {
  return pace.groupMs() ?? timers.drainEndMs - timers.claimsCloseMs
}

/**
 * What must be left before draining ends for a claim to be made, ms. Where the file may have holes, a group is begun that is done one
 * time in four: nothing is lost with the others but time in which this GPU would be idle. Where a hole cuts off the file, or a GPU
 * is to have other weights before the next window, only one that is done nine times in ten.
 */
function neededMs({ parts, pace }: LastClaimDesk, window: OpenWindow): number {
  const cautious = parts.holes === 'truncate' || window.next !== undefined
  return cautious ? expectedMs(window, pace) : (pace.luckyMs() ?? expectedMs(window, pace))
}

/** What of a generator tells when it makes its last claim. */
export type LastClaimDesk = { parts: Pick<Desk['parts'], 'holes'>; pace: Pace }

/**
 * May this generator claim in a window: is it open, and can a group claimed now be staged before draining ends?
 * @param waitMs how long it would stand in line at the engine behind the groups in flight, ms
 */
export function isMineable(desk: LastClaimDesk, window: OpenWindow, nowMs: number, waitMs = 0): boolean {
  if (isOver(window) || window.state === 'sealing') return false
  return mayClaim(nowMs + waitMs, window.timers.drainEndMs, neededMs(desk, window))
}

/** Unix ms from which on this generator may claim no more in a window, also when its engine is free, as far as is known now. */
export function lastClaimMs(desk: LastClaimDesk, window: OpenWindow): number {
  return window.timers.drainEndMs - neededMs(desk, window)
}

/** What must be left for this generator to claim in a window without other weights to come, ms; undefined before its first group. */
export function claimNeedsMs({ parts, pace }: LastClaimDesk): number | undefined {
  return parts.holes === 'truncate' ? pace.groupMs() : pace.luckyMs()
}

import { mayClaim } from '../../src/window/deadline.js'
import { isOver, type OpenWindow } from '../windows.js'
import type { Pace } from './pace.js'

/** How long a group is expected to take from its turn on, ms: the own p90; before the first group the fleet's, which lies between the moments claims close and draining ends. */
export function expectedMs({ timers }: OpenWindow, pace: Pace): number {
  return pace.groupMs() ?? timers.drainEndMs - timers.claimsCloseMs
}

/**
 * May this generator claim in a window: is it open, and can a group claimed now be staged before draining ends?
 * @param waitMs how long it would stand in line at the engine behind the groups in flight, ms
 */
export function isMineable(window: OpenWindow, pace: Pace, nowMs: number, waitMs = 0): boolean {
  if (isOver(window) || window.state === 'sealing') return false
  return mayClaim(nowMs + waitMs, window.timers.drainEndMs, expectedMs(window, pace))
}

/** Unix ms from which on this generator may claim no more in a window, also when its engine is free, as far as is known now. */
export function lastClaimMs(window: OpenWindow, pace: Pace): number {
  return window.timers.drainEndMs - expectedMs(window, pace)
}

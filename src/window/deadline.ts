/**
 * The deadline engine: everything a window does is timed back from D, the moment its object must be complete.
 *
 *   open … claims close ……… draining ends ………… complete by ……… abort at … D
 *          D − tail − p90     D − tail           D − 3 s          D − 1 s
 *
 * Where holes may stay in the file a generator goes on claiming a little longer: its GPU would be idle otherwise.
 *
 * All times are unix ms; nothing here reads a clock.
 */

/** Complete must have been answered this long before D: the store's LastModified has 1 s resolution, a clock may be off by one more, and one retry must fit. */
export const COMPLETE_BEFORE_MS = 3_000

/** An upload that is not complete this long before D is aborted: one round trip is left to get the abort through before a late object could appear. */
export const ABORT_BEFORE_MS = 1_000

/** After D the object may still be verified for this long: HEAD is asked a few times with back-off, then the window counts as unverified. */
export const VERIFY_AFTER_MS = 15_000

/**
 * Margin on top of the measured tail, as a part of it, and the least of it, ms. Tails of one line differ by a quarter (0.63 to 0.79 s over a
 * line of 20 ms and 100 MB/s); the collector, or a busy host, stops a process for half a second. What takes longer still is complete
 * between COMPLETE_BEFORE_MS and ABORT_BEFORE_MS, and with the next windows it is reckoned with.
 */
export const TAIL_MARGIN = 0.25
export const TAIL_MARGIN_MS = 500

/** Tail assumed before any window was measured: footer, one part, Complete and HEAD over a slow link. */
export const FIRST_TAIL_MS = 5_000

/** Windows remembered when the tail is estimated: an hour of windows outlives one bad upload and forgets a changed link. */
export const TAIL_SAMPLES = 10

/** Groups remembered when p90 is estimated: one to two windows of one GPU. */
export const GROUP_SAMPLES = 50

/** The absolute moments of one window, unix ms, ascending. */
export interface Timers {
  /** From here on a generator that is as fast as the slowest tenth makes no claim; where holes may stay it still does for a while. */
  claimsCloseMs: number
  /** The file is sealed with what is staged. */
  drainEndMs: number
  completeByMs: number
  abortAtMs: number
  deadlineMs: number
  /** Unverified from here on. */
  verifyByMs: number
}

/**
 * All timers of a window from its one deadline.
 * @param tailMs time from the last staged group to the verified object, estimated
 * @param groupMs p90 of a whole group: claim, prompt, generate, prove, reward, stage
 */
export function timersOf(deadlineMs: number, tailMs: number, groupMs: number): Timers {
  // The tail ends in a verified object, and Complete must be done COMPLETE_BEFORE_MS ahead: never drain into that.
  const drainEndMs = deadlineMs - Math.max(tailMs, COMPLETE_BEFORE_MS)
  return {
    claimsCloseMs: drainEndMs - groupMs,
    drainEndMs,
    completeByMs: deadlineMs - COMPLETE_BEFORE_MS,
    abortAtMs: deadlineMs - ABORT_BEFORE_MS,
    deadlineMs,
    verifyByMs: deadlineMs + VERIFY_AFTER_MS,
  }
}

/** The first of a window's moments that is still to come, unix ms; Infinity when all are past. */
export function nextMoment(timers: Timers, nowMs: number): number {
  return Math.min(...Object.values(timers).filter((ms: number) => ms > nowMs))
}

/** The 90th percentile (nearest rank) of samples, or undefined when there are none: with few samples the slowest one counts. */
export function p90(samples: readonly number[]): number | undefined {
  return nearestRank(samples, 0.9)
}

/** The lower quartile (nearest rank) of samples, or undefined when there are none: with few samples the quickest one. */
export function lowerQuartile(samples: readonly number[]): number | undefined {
  return nearestRank(samples, 0.25)
}

/** The median (nearest rank, the lower of two) of samples, or undefined when there are none. */
export function median(samples: readonly number[]): number | undefined {
  return nearestRank(samples, 0.5)
}

function nearestRank(samples: readonly number[], part: number): number | undefined {
  if (samples.length === 0) return undefined
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.ceil(sorted.length * part) - 1]
}

/**
 * Tail to plan with, ms: how long before D draining must end.
 * It has to leave COMPLETE_BEFORE_MS between the Complete call and D, so that much is added to the p90 of the measured
 * times from the last staged group to the verified object, and a margin.
 * @param firstMs taken before any window was measured
 */
export function tailOf(samples: readonly number[], firstMs: number = FIRST_TAIL_MS): number {
  const measured = p90(samples.slice(-TAIL_SAMPLES)) ?? firstMs
  return measured + Math.max(TAIL_MARGIN_MS, measured * TAIL_MARGIN) + COMPLETE_BEFORE_MS
}

/**
 * May a claim be made now, i.e. could a group begun at `nowMs` be staged before draining ends?
 * @param groupMs what must be left; a GPU of which nothing is known may try while anything is left
 */
export function mayClaim(nowMs: number, drainEndMs: number, groupMs: number | undefined): boolean {
  return nowMs + (groupMs ?? 0) <= drainEndMs
}

/** A window is this many blocks long and starts at a multiple of it (one-covenant/grail grail/protocol/constants.py:77, 54d6342). */
export const WINDOW_BLOCKS = 30

/** Nominal time between two blocks, milliseconds (grail/protocol/constants.py:81, 54d6342). Measured time is used where known. */
export const NOMINAL_BLOCK_MS = 12_000

/** The object must be complete this long before the timestamp of block W+30, milliseconds (grail/validation/service.py:71, 54d6342). */
export const DEADLINE_SLACK_MS = 4_000

/** First block of the window that `block` belongs to (grail/cli/mine.py:127, 54d6342). Block 929 belongs to window 900. */
export function windowOf(block: number): number {
  return Math.floor(block / WINDOW_BLOCKS) * WINDOW_BLOCKS
}

/** First block after window `window`; its timestamp decides the deadline. */
export function windowEnd(window: number): number {
  return window + WINDOW_BLOCKS
}

/**
 * D: the last moment, in unix ms, at which the object may be complete.
 * @param endTimestampMs timestamp of block W+30 in unix ms, real or extrapolated
 */
export function deadlineOf(endTimestampMs: number): number {
  return endTimestampMs - DEADLINE_SLACK_MS
}

/**
 * Timestamp of block W+30 before that block exists, whole unix ms: rather one too early than one too late.
 * @param from a block whose timestamp is known
 * @param blockMs measured or nominal milliseconds per block
 */
export function extrapolateEnd(window: number, from: { number: number; timestampMs: number }, blockMs: number): number {
  return Math.floor(from.timestampMs + (windowEnd(window) - from.number) * blockMs)
}

/** First wait before a worker is started again, ms; doubled with each failure in a row. */
const FIRST_WAIT_MS = 1_000
/** Longest wait: a machine that is well again should not idle for minutes. */
const LONGEST_WAIT_MS = 60_000
/** Waits differ by up to this share, so that the workers of a host do not start all at once. */
const JITTER = 0.25

/**
 * Wait before the next start, ms.
 * @param failures starts that failed in a row, 0 for a worker that had been well
 * @param random in [0, 1)
 */
export function restartWaitMs(failures: number, random: number): number {
  const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures)
  return Math.round(wait * (1 - JITTER + 2 * JITTER * random))
}

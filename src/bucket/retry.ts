import { setTimeout as sleep } from 'node:timers/promises'
import { BucketError } from './bucket.js'
import { timeLimit } from './time-limit.js'

/** Wait before the second attempt, ms. It doubles with every further one. A window has six minutes: starting at a second, as the reference does, wastes too many of its last ones. */
const FIRST_WAIT_MS = 250
/** The same after the store asked to slow down (2 s in one-covenant/grail grail/infrastructure/comms.py:404-647, 54d6342). */
const FIRST_THROTTLED_WAIT_MS = 2_000
/** No wait is longer than this, ms, but for the store's own wish. */
const LONGEST_WAIT_MS = 8_000
/** Waits are spread by this part of themselves up and down, so that many clients do not come back at once. */
const JITTER = 0.25

/** How long something may be tried, and what time and chance are. */
export interface RetryBounds {
  /** Absolute, unix ms: no attempt and no wait lasts longer. */
  deadlineMs: number
  /** Unix ms. */
  now(): number
  /** In [0, 1). */
  random(): number
  signal: AbortSignal
  /** Waits; tests give their own. */
  wait?(ms: number, signal: AbortSignal): Promise<void>
}

/**
 * Tries until it is done, can never be done, or the deadline is reached.
 *
 * @param effect one request. It is given a signal that also fires at the deadline. Unless there is a `look`, doing it twice
 *   must be harmless.
 * @param look called when an attempt's outcome is unknown: what the request should have brought about, or undefined when
 *   it did not (yet); then it is repeated.
 * @throws BucketError as the effect threw it ('never'), or 'deadline' with the last error as cause and next 'unknown' when it
 *   may have been done after all; the signal's reason when that fired
 */
export async function withRetry<T>(
  effect: (signal: AbortSignal) => Promise<T>,
  bounds: RetryBounds,
  look?: (signal: AbortSignal) => Promise<T | undefined>,
): Promise<T> {
  const wait = bounds.wait ?? pause
  let maybeDone = false
  let looking = false
  for (let attempt = 1; ; attempt++) {
    let error: BucketError
    try {
      if (looking && look) {
        const found = await inTime(look, bounds)
        if (found !== undefined) return found
        looking = false
      }
      return await inTime(effect, bounds)
    } catch (thrown) {
      if (bounds.signal.aborted) throw bounds.signal.reason
      if (!(thrown instanceof BucketError) || thrown.next === 'never') throw thrown
      error = thrown
    }
    if (!looking && error.next === 'unknown') {
      maybeDone = true
      looking = look !== undefined
    }
    const ms = error.code === 'deadline' ? Number.POSITIVE_INFINITY : waitMs(attempt, error, bounds.random())
    if (bounds.now() + ms >= bounds.deadlineMs) throw outOfTime(error, attempt, maybeDone)
    await wait(ms, bounds.signal)
  }
}

/** How long to wait after attempt `attempt` (the first is 1) failed with `error`, ms. */
export function waitMs(attempt: number, error: BucketError, random: number): number {
  const first = error.code === 'throttled' ? FIRST_THROTTLED_WAIT_MS : FIRST_WAIT_MS
  const ms = Math.min(first * 2 ** (attempt - 1), LONGEST_WAIT_MS) * (1 - JITTER + 2 * JITTER * random)
  return Math.max(Math.round(ms), error.retryAfterMs)
}

async function inTime<T>(work: (signal: AbortSignal) => Promise<T>, bounds: RetryBounds): Promise<T> {
  bounds.signal.throwIfAborted()
  const left = bounds.deadlineMs - bounds.now()
  if (left <= 0) throw new BucketError('deadline', 'no time is left', 'later')
  const limit = timeLimit(
    bounds.signal,
    left,
    () => new BucketError('deadline', 'time ran out in the middle', 'unknown'),
  )
  try {
    return await work(limit.signal)
  } finally {
    limit.end()
  }
}

function outOfTime(last: BucketError, attempts: number, maybeDone: boolean): BucketError {
  const tries = attempts === 1 ? 'one attempt' : `${attempts} attempts`
  return new BucketError(
    'deadline',
    `given up at the deadline after ${tries}: ${last.message}`,
    maybeDone ? 'unknown' : 'never',
    {
      cause: last,
    },
  )
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error
  })
}

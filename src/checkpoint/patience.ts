import { setTimeout as sleep } from 'node:timers/promises'
import { CheckpointError } from './checkpoint-error.js'
import { scope } from './scope.js'

/** Wait before the second attempt, ms; doubled with every further one. */
const FIRST_WAIT_MS = 250
/** No wait is longer than this, ms, but for the store's own wish. */
const LONGEST_WAIT_MS = 8_000
/** Waits are spread by this part of themselves up and down, so that a fleet's hosts do not come back at once. */
const JITTER = 0.25

/** Time and chance, and how a wait is done. */
export interface Pace {
  /** Unix ms. */
  now(): number
  /** In [0, 1). */
  random(): number
  /** Waits; tests give their own. */
  wait?(ms: number, signal: AbortSignal): Promise<void>
}

/**
 * Asks a bucket until it answers, says that it never will (an error's field `next`), or `patienceMs` have passed. Only for
 * reading: what is unknown is asked again.
 * @param ask one request; its signal also fires when patience ends
 * @throws the last error, or the signal's reason
 */
export async function patiently<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
  patienceMs: number,
  pace: Pace,
): Promise<T> {
  signal.throwIfAborted()
  const deadlineMs = pace.now() + patienceMs
  const limited = scope(signal)
  const silence = new CheckpointError('unreachable', `the bucket was silent for ${patienceMs / 1000} s`, 'later')
  const timer = setTimeout(() => limited.abort(silence), patienceMs)
  try {
    for (let attempt = 1; ; attempt++) {
      let error: unknown
      try {
        return await ask(limited.signal)
      } catch (thrown) {
        error = thrown
      }
      signal.throwIfAborted()
      const { next, retryAfterMs = 0 } = error as { next?: unknown; retryAfterMs?: number }
      if (limited.signal.aborted) throw silence
      // What was concluded from an answer is not mended by asking again at once.
      if (error instanceof CheckpointError || (next !== 'later' && next !== 'unknown')) throw error
      const ms = Math.max(waitMs(attempt, pace.random()), retryAfterMs)
      if (pace.now() + ms >= deadlineMs) throw error
      await (pace.wait ?? pause)(ms, signal)
    }
  } finally {
    clearTimeout(timer)
    limited.end()
  }
}

function waitMs(attempt: number, random: number): number {
  return Math.min(FIRST_WAIT_MS * 2 ** (attempt - 1), LONGEST_WAIT_MS) * (1 - JITTER + 2 * JITTER * random)
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error
  })
}

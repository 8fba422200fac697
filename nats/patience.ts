import { performance } from 'node:perf_hooks'
import { type BrokerError, brokerError } from './errors.js'
import { onAbort, pause } from './waiting.js'

/** How long one waits for the broker. One attempt is short, because what was in flight when a connection broke is never answered; patience is long, because a cluster takes up to 9 s to elect a leader. */
export interface Patience {
  signal: AbortSignal
  /** One attempt, milliseconds. */
  attemptMs?: number
  /** No attempt starts after this, milliseconds; 0 for a single attempt. */
  giveUpAfterMs?: number
}

/** Twice what a healthy broker needs at its 99.9th percentile under full load, and short enough that a lost answer hardly shows. */
export const ATTEMPT_MS = 500

/** Longer than leader elections but one in some hundred (13.3 s with three servers killed at once; once 18.2 s). */
export const GIVE_UP_AFTER_MS = 15_000

/** Pause between two attempts: 50 to 150 ms, spread so that many clients of a restarted broker do not come back in step. */
const PAUSE_MS = 50
const PAUSE_SPREAD_MS = 100

/** `promise`, unless the signal comes first: then its reason. The promise itself goes on unwatched. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => {})
    return Promise.reject(signal.reason)
  }
  return new Promise<T>((resolve, reject) => {
    const stop = onAbort(signal, () => reject(signal.reason))
    promise.then(resolve, reject).finally(stop)
  })
}

/**
 * Repeats `attempt` as long as its error says 'later' and time is left. Only for what may be done twice.
 * Throws the last BrokerError, or the signal's reason.
 * @param doing what is being done, for the sentence of an error
 * @param attempt gets the milliseconds it may take
 */
export async function persist<T>(
  doing: string,
  attempt: (timeoutMs: number) => Promise<T>,
  { signal, attemptMs = ATTEMPT_MS, giveUpAfterMs = GIVE_UP_AFTER_MS }: Patience,
): Promise<T> {
  const end = performance.now() + giveUpAfterMs
  for (;;) {
    signal.throwIfAborted()
    let failed: BrokerError
    try {
      return await attempt(attemptMs)
    } catch (e) {
      signal.throwIfAborted()
      failed = brokerError(e, doing)
      if (failed.next === 'never') throw failed
    }
    const pauseMs = Math.max(failed.retryAfterMs, PAUSE_MS) + Math.random() * PAUSE_SPREAD_MS
    if (performance.now() + pauseMs >= end) throw failed
    await pause(pauseMs, signal)
  }
}

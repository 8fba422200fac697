import { setTimeout as sleep } from 'node:timers/promises'

/** The longest a timer can be set to; the signal, or the promise's own limit, ends it. */
const LONGEST_MS = 2 ** 31 - 1

/** The promise, or the signal's reason: others wait for the same promise, so it goes on. */
export async function withSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const stop = new AbortController()
  try {
    return await Promise.race([
      promise,
      sleep(LONGEST_MS, undefined as never, { signal: AbortSignal.any([signal, stop.signal]) }).catch(() => {
        throw signal.reason
      }),
    ])
  } finally {
    stop.abort()
  }
}

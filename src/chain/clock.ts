import { setTimeout as timer } from 'node:timers/promises'

/** Time as a parameter. */
export interface Clock {
  /** Unix ms. */
  now(): number
  /** Resolves after `ms`, or at once when the signal aborts; never rejects. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

export const wallClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    await timer(Math.max(0, ms), undefined, { signal }).catch(() => {})
  },
}

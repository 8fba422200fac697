import { setMaxListeners } from 'node:events'

/** Calls `then` when the signal comes; the result stops that. Any number may wait for one signal: a process has one for all it does. */
export function onAbort(signal: AbortSignal, then: () => void): () => void {
  setMaxListeners(0, signal)
  signal.addEventListener('abort', then, { once: true })
  return () => signal.removeEventListener('abort', then)
}

/** A rest that somebody may end. */
export interface Bell {
  /** Waits `ms` milliseconds, until the signal comes, or until it rings; throws nothing. One may rest at a time. */
  rest(ms: number, signal: AbortSignal): Promise<void>
  /** Ends a rest under way; does nothing when nobody rests. */
  ring(): void
}

export function bell(): Bell {
  let wake = () => {}
  return {
    rest(ms, signal) {
      if (signal.aborted) return Promise.resolve()
      return new Promise<void>(resolve => {
        const end = () => {
          clearTimeout(timer)
          stop()
          wake = () => {}
          resolve()
        }
        const timer = setTimeout(end, ms)
        const stop = onAbort(signal, end)
        wake = end
      })
    },
    ring: () => wake(),
  }
}

/** Waits `ms` milliseconds or until the signal comes; throws nothing. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return bell().rest(ms, signal)
}

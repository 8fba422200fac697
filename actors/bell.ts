/** Wakes whoever waits for something to have changed; a ring while nobody waits is kept for the next one. */
export interface Bell {
  ring(): void
  /** Resolves at the next ring, at once when it rang since the last wait, after `ms`, or when the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

export function bell(): Bell {
  let rung = false
  const waiting = new Set<() => void>()
  return {
    ring() {
      if (waiting.size === 0) rung = true
      for (const wake of [...waiting]) wake()
    },
    wait(ms, signal) {
      if (rung || signal.aborted) {
        rung = false
        return Promise.resolve()
      }
      return new Promise(resolve => {
        const wake = () => {
          waiting.delete(wake)
          clearTimeout(timer)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        const timer = setTimeout(wake, Math.max(0, ms))
        signal.addEventListener('abort', wake, { once: true })
        waiting.add(wake)
      })
    },
  }
}

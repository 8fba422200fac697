/** First pause after a failed connection, ms. */
const FIRST_PAUSE_MS = 250

/** Longest pause, ms: an outage of all endpoints must not become a flood, nor cost a window once it ends. */
const LONGEST_PAUSE_MS = 8_000

/** Which endpoint is tried next, and after which pause. */
export interface Rotation {
  /** The endpoint to try now. */
  next(): string
  /** Pause before the next try, ms: doubles with each failure in a row, plus up to half of it by chance. */
  pauseMs(): number
  /** The endpoint worked: pauses start small again. */
  worked(): void
  /** Tries the endpoint next, whatever the order says. */
  prefer(endpoint: string): void
}

/** @param random number in [0, 1); seeded in tests */
export function rotation(endpoints: readonly string[], random: () => number): Rotation {
  let at = -1
  let failures = 0
  return {
    next: () => {
      at = (at + 1) % endpoints.length
      failures++
      return endpoints[at] as string
    },
    pauseMs: () => {
      // the first round over all endpoints goes without doubling: one of them may well be fine
      const doublings = Math.max(0, failures - endpoints.length)
      const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(doublings, 16))
      return pause * (1 + random() / 2)
    },
    worked: () => {
      failures = 0
    },
    prefer: endpoint => {
      const place = endpoints.indexOf(endpoint)
      if (place >= 0) at = place - 1
    },
  }
}

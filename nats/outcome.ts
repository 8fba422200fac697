import { isBrokerError } from './errors.js'

/** What became of a piece of work: it tells the broker what to do with the item. */
export type Outcome =
  /** Finished: the item is gone. */
  | { type: 'done' }
  /** Not now: somebody gets it again after `ms` milliseconds. */
  | { type: 'later'; ms: number; why: string }
  /** No use trying again: the item is gone, and `why` is for the log. */
  | { type: 'never'; why: string }

export const done: Outcome = { type: 'done' }
export const later = (ms: number, why: string): Outcome => ({ type: 'later', ms, why })
export const never = (why: string): Outcome => ({ type: 'never', why })

/** How long an item rests when its handler failed without saying how long, milliseconds. */
const REST_MS = 1_000

/** The outcome of a handler that threw. Only what says of itself that it can never succeed is given up. */
export function outcomeOf(e: unknown): Outcome {
  const why = e instanceof Error ? e.message : String(e)
  if (isBrokerError(e)) return e.next === 'never' ? never(why) : later(e.retryAfterMs || REST_MS, why)
  return later(REST_MS, why)
}

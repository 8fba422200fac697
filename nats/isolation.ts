import { isBrokerError } from './errors.js'

// A server that has lost the others of its cluster keeps its clients: the connection stands, and nothing that was stored can be had.

/** Longer than an election (18.2 s at most, once in some hundred kills of a leader), short enough to save most of a window, ms. */
export const ISOLATED_MS = 25_000

/** The cluster as such does not answer: JetStream is not available there, or has no leader. */
const LEADERLESS = new Set([10008, 10009])

export interface Isolation {
  /** JetStream answered a question. Of every one it is said what became of it: that tells whether the server is of any use. */
  answered(): void
  /** A question to JetStream ended in this error. */
  failed(error: unknown): void
  /** What was heard so far was another server's, or of another connection to this one. */
  forget(): void
}

/** Whether an error is JetStream's word ('yes'), its silence ('no'), or says nothing of it: given up, connection lost. */
function wordOf(e: unknown): 'yes' | 'no' | 'unknown' {
  if (!isBrokerError(e)) return 'unknown'
  if (e.number !== undefined) return LEADERLESS.has(e.number) ? 'no' : 'yes'
  return e.code === 'no-responders' || e.code === 'timeout' ? 'no' : 'unknown'
}

/**
 * @param isolatedMs how long questions may fail, and none be answered, ms
 * @param leave called when that is over, and again after as long
 * @param now ms, of a clock that only goes forward
 */
export function isolationOf(isolatedMs: number, leave: () => void, now: () => number): Isolation {
  /** The first failure since anything was answered. Not when it was asked: a process that was stopped meanwhile heard nothing at all. */
  let silentSinceMs: number | undefined
  const unheard = () => {
    silentSinceMs ??= now()
    if (now() - silentSinceMs < isolatedMs) return
    silentSinceMs = undefined
    leave()
  }
  return {
    answered() {
      silentSinceMs = undefined
    },
    failed(error) {
      const word = wordOf(error)
      if (word === 'yes') silentSinceMs = undefined
      if (word === 'no') unheard()
    },
    forget() {
      silentSinceMs = undefined
    },
  }
}

import { performance } from 'node:perf_hooks'
import { isBrokerError } from './errors.js'

// A server that has lost the others of its cluster keeps its clients: the connection stands, and nothing that was stored can be had.

/** Longer than an election (13.3 s at most, three servers killed at once), short enough to save most of a window, ms. */
export const ISOLATED_MS = 20_000

/** The cluster as such does not answer: JetStream is not available there, or has no leader. */
const LEADERLESS = new Set([10008, 10009])

export interface Isolation {
  /** Looks at what becomes of a question to JetStream; every one of them says whether the server is of any use. */
  watch<T>(asking: Promise<T>): Promise<T>
}

/** Whether an error is JetStream's word ('yes'), its silence ('no'), or says nothing of it: given up, connection lost. */
function answered(e: unknown): 'yes' | 'no' | 'unknown' {
  if (!isBrokerError(e)) return 'unknown'
  if (e.number !== undefined) return LEADERLESS.has(e.number) ? 'no' : 'yes'
  return e.code === 'no-responders' || e.code === 'timeout' ? 'no' : 'unknown'
}

/**
 * @param isolatedMs how long no question at all may be answered, ms
 * @param leave called when that is over, and again after as long
 */
export function isolationOf(isolatedMs: number, leave: () => void): Isolation {
  let sinceMs: number | undefined
  return {
    async watch(asking) {
      const askedMs = performance.now()
      try {
        const answer = await asking
        sinceMs = undefined
        return answer
      } catch (e) {
        const what = answered(e)
        if (what === 'yes') sinceMs = undefined
        if (what === 'no') {
          sinceMs ??= askedMs
          if (performance.now() - sinceMs >= isolatedMs) {
            sinceMs = undefined
            leave()
          }
        }
        throw e
      }
    },
  }
}

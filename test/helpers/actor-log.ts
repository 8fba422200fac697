import type { Actor } from './actor-process.js'
import { until } from './nats-server.js'

/** An actor's log, read from where the last question stopped. */
export interface ActorLog {
  /** Resolves once a line, past or to come, matches all patterns; the next question begins behind it. */
  says(...patterns: readonly RegExp[]): Promise<void>
  /** The last line so far that matches. */
  last(pattern: RegExp): string | undefined
}

export function actorLog({ name, lines }: Actor): ActorLog {
  let read = 0
  return {
    says: async (...patterns) => {
      await until(`${name} says ${patterns.join(' and ')}`, () => {
        const at = lines.findIndex((line, i) => i >= read && patterns.every(pattern => pattern.test(line)))
        if (at < 0) return undefined
        read = at + 1
        return true
      })
    },
    last: pattern => lines.findLast(line => pattern.test(line)),
  }
}

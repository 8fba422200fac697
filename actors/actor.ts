import type { Broker } from '../nats/index.js'

/** Where an actor's words for people go; one line each, facts as fields. Implemented by pino in the supervisor. */
export interface Log {
  debug(facts: object, text: string): void
  info(facts: object, text: string): void
  warn(facts: object, text: string): void
  error(facts: object, text: string): void
}

/** Time as a parameter: tests hand in their own. */
export interface Clock {
  /** unix ms */
  now(): number
  /** Resolves after `ms`, or at once when the signal aborts. Never rejects. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/** What every actor gets from the supervisor. */
export interface ActorParts {
  broker: Broker
  log: Log
  clock: Clock
  /** In [0, 1): for jitter only. */
  random(): number
  /** Name of this process in the fleet, stable over restarts: role, host and number. */
  instance: string
  /** Changes with every start of the process. */
  boot: string
  version: string
}

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise(resolve => {
      if (signal.aborted) return resolve()
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, Math.max(0, ms))
      signal.addEventListener('abort', end, { once: true })
    }),
}

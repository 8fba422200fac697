import type { ActorParts } from '../actor.js'

/** Whether this controller can hear what others say. */
export interface Hearing {
  /** Since when the broker has been there without a break, unix ms; infinite while it is away. */
  sinceMs(): number
}

/** Follows the connection from now on, until the signal aborts. */
export function watchHearing({ broker, clock }: Pick<ActorParts, 'broker' | 'clock'>, signal: AbortSignal): Hearing {
  let sinceMs = clock.now()
  const stop = broker.listen(({ type }) => {
    if (type === 'reconnected') sinceMs = clock.now()
  })
  signal.addEventListener('abort', stop, { once: true })
  return { sinceMs: () => (broker.connected ? sinceMs : Number.POSITIVE_INFINITY) }
}

import { createInbox, type Msg, type Subscription } from 'nats'
import type { Broker } from './broker.js'
import { brokerError } from './errors.js'
import { bell } from './waiting.js'

/** A private subject whose messages are taken one by one. */
export interface Mailbox {
  /** Everything below it comes here: whoever asks several questions puts a token of its own behind a dot for each. */
  readonly subject: string
  /** The next message, or undefined when none came in time, the mailbox was interrupted, or the signal came. */
  next(withinMs: number, signal: AbortSignal): Promise<Msg | undefined>
  /** Ends a `next` that is waiting. */
  interrupt(): void
  /** Takes no more; what had come and was not taken is handed back. */
  close(): Msg[]
}

/** Opens one. Throws BrokerError 'closed'. */
export function mailbox(broker: Broker): Mailbox {
  const subject = createInbox()
  const waiting: Msg[] = []
  const arrival = bell()
  let subscription: Subscription
  try {
    subscription = broker.nc.subscribe(`${subject}.*`, {
      callback: (error, msg) => {
        if (!error) waiting.push(msg)
        arrival.ring()
      },
    })
  } catch (e) {
    throw brokerError(e, 'listen for answers')
  }

  return {
    subject,
    async next(withinMs, signal) {
      if (waiting.length === 0 && !signal.aborted) await arrival.rest(withinMs, signal)
      return signal.aborted ? undefined : waiting.shift()
    },
    interrupt: () => arrival.ring(),
    close() {
      subscription.unsubscribe()
      arrival.ring()
      return waiting.splice(0)
    },
  }
}

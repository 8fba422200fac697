import { createInbox, type Msg, type Subscription } from 'nats'
import type { Broker } from './connect.js'
import { brokerError } from './errors.js'

/** A private subject whose messages are taken one by one. */
export interface Mailbox {
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
  let wake = () => {}
  let subscription: Subscription
  try {
    subscription = broker.nc.subscribe(subject, {
      callback: (error, msg) => {
        if (!error) waiting.push(msg)
        wake()
      },
    })
  } catch (e) {
    throw brokerError(e, 'listen for answers')
  }

  const rest = (ms: number, signal: AbortSignal) =>
    new Promise<void>(resolve => {
      const timer = setTimeout(() => wake(), ms)
      const abort = () => wake()
      signal.addEventListener('abort', abort)
      wake = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
        wake = () => {}
        resolve()
      }
    })

  return {
    subject,
    async next(withinMs, signal) {
      if (waiting.length === 0 && !signal.aborted) await rest(withinMs, signal)
      return signal.aborted ? undefined : waiting.shift()
    },
    interrupt: () => wake(),
    close() {
      subscription.unsubscribe()
      wake()
      return waiting.splice(0)
    },
  }
}

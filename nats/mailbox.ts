import { createInbox, type Msg, type Subscription } from 'nats'
import type { Broker } from './connect.js'

/** A private subject whose messages are taken one by one. */
export interface Mailbox {
  readonly subject: string
  /** The next message, or undefined when none came in time, the mailbox was interrupted, or the signal came. */
  next(withinMs: number, signal: AbortSignal): Promise<Msg | undefined>
  /** Ends a `next` that is waiting. */
  interrupt(): void
  close(): void
}

export function mailbox(broker: Broker): Mailbox {
  const waiting: Msg[] = []
  let wake = () => {}
  const subject = createInbox()
  const subscription: Subscription = broker.nc.subscribe(subject, {
    callback: (error, msg) => {
      if (!error) waiting.push(msg)
      wake()
    },
  })
  return {
    subject,
    async next(withinMs, signal) {
      if (waiting.length === 0 && !signal.aborted) {
        await new Promise<void>(resolve => {
          const timer = setTimeout(resolve, withinMs)
          wake = () => {
            clearTimeout(timer)
            signal.removeEventListener('abort', wake)
            resolve()
          }
          signal.addEventListener('abort', wake, { once: true })
        })
        wake()
        wake = () => {}
      }
      return signal.aborted ? undefined : waiting.shift()
    },
    interrupt: () => wake(),
    close() {
      subscription.unsubscribe()
      wake()
    },
  }
}

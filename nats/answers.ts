import { createInbox, ErrorCode, type Msg, type MsgHdrs, NatsError } from 'nats'
import type { Broker } from './broker.js'
import { BrokerError, brokerError } from './errors.js'
import { onAbort } from './waiting.js'

// The client library makes an error, stack and all, for every request that is answered: a quarter of what a claim costs here.

/** Somebody who waits for an answer. */
interface Waiting {
  subject: string
  doing: string
  answered(msg: Msg): void
  failed(error: unknown): void
}

/** One subject for all answers of a connection; who asked is told by the last token. */
interface Inbox {
  prefix: string
  waiting: Map<string, Waiting>
  asked: number
}

const inboxes = new WeakMap<Broker, Inbox>()

/** What the server says when nobody listens to a subject that was asked on. */
const NO_RESPONDERS = 503
const RADIX = 36

/**
 * Publishes with a subject for the answer and waits for it. Rejects with a BrokerError: 'timeout', 'no-responders', 'permission',
 * 'unreachable' (the connection broke), what the library refuses to publish; or with the signal's reason.
 */
export function answerTo(
  broker: Broker,
  subject: string,
  bytes: Uint8Array,
  { doing, timeoutMs, signal, headers }: { doing: string; timeoutMs: number; signal: AbortSignal; headers?: MsgHdrs },
): Promise<Msg> {
  return new Promise<Msg>((resolve, reject) => {
    const inbox = inboxOf(broker)
    const token = (inbox.asked++).toString(RADIX)
    const end = () => {
      inbox.waiting.delete(token)
      clearTimeout(late)
      stop()
    }
    const failed = (error: unknown) => {
      end()
      reject(signal.aborted ? signal.reason : brokerError(error, doing))
    }
    const late = setTimeout(() => failed(NatsError.errorForCode(ErrorCode.Timeout)), timeoutMs)
    const stop = onAbort(signal, () => failed(signal.reason))
    const answered = (msg: Msg) => {
      if (msg.data.length === 0 && msg.headers?.code === NO_RESPONDERS)
        return failed(NatsError.errorForCode(ErrorCode.NoResponders))
      end()
      resolve(msg)
    }
    inbox.waiting.set(token, { subject, doing, answered, failed })
    try {
      broker.nc.publish(subject, bytes, { reply: inbox.prefix + token, ...(headers === undefined ? {} : { headers }) })
    } catch (error) {
      failed(error)
    }
  })
}

function inboxOf(broker: Broker): Inbox {
  const known = inboxes.get(broker)
  if (known) return known
  const inbox: Inbox = { prefix: `${createInbox()}.`, waiting: new Map(), asked: 0 }
  const failAll = (why: (waiting: Waiting) => unknown) => {
    for (const waiting of [...inbox.waiting.values()]) waiting.failed(why(waiting))
  }
  // The library subscribes again after every reconnect.
  broker.nc.subscribe(`${inbox.prefix}*`, {
    callback: (error, msg) => {
      if (error) {
        inboxes.delete(broker)
        failAll(() => error)
      } else inbox.waiting.get(msg.subject.slice(inbox.prefix.length))?.answered(msg)
    },
  })
  broker.listen(status => {
    if (status.type === 'disconnected' || status.type === 'closed')
      failAll(({ doing }) => new BrokerError('unreachable', `${doing}: the connection broke before the answer came`))
    else if (status.type === 'error' && status.refused !== undefined)
      for (const waiting of [...inbox.waiting.values()])
        if (waiting.subject === status.refused)
          waiting.failed(new BrokerError('permission', `${waiting.doing}: this user may not publish there`))
  })
  inboxes.set(broker, inbox)
  return inbox
}

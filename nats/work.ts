import { type ConsumerInfo, type Msg, millis, nanos } from 'nats'
import type { Broker } from './broker.js'
import { type Delivery, deliveryOf } from './delivery.js'
import { BrokerError, isBrokerError } from './errors.js'
import { mailbox } from './mailbox.js'
import { later, type Outcome, outcomeOf } from './outcome.js'
import { type Patience, persist } from './patience.js'
import { api, request, send, untilConnected } from './request.js'
import { pause } from './waiting.js'

/** A piece of work, held by us until it is settled or the consumer's ack wait has passed without a sign of life. */
export interface WorkItem {
  subject: string
  bytes: Uint8Array
  seq: number
  /** 1 for the first time it is given out. */
  tries: number
  /** When it was put into the queue, unix ms by the server's clock. */
  timeMs: number
  msgId?: string
  /** Tells the broker what became of it, and waits for its word. A 'timeout' means that it may be given out again. */
  settle(outcome: Outcome, patience: Patience): Promise<void>
  /** A sign of life: the ack wait begins anew. */
  working(): void
}

const utf8 = new TextEncoder()

/** Grace over the time the server holds a request, milliseconds. */
const GRACE_MS = 1_000

/** A consumer's word for each outcome (nats-server server/consumer.go, AckAck, AckNak, AckTerm). */
function ackOf(outcome: Outcome): string {
  switch (outcome.type) {
    case 'done':
      return '+ACK'
    case 'later':
      return outcome.ms > 0 ? `-NAK ${JSON.stringify({ delay: nanos(outcome.ms) })}` : '-NAK'
    case 'never':
      return '+TERM'
  }
}

function itemOf(broker: Broker, msg: Msg, delivery: Delivery): WorkItem {
  const reply = msg.reply!
  const msgId = msg.headers?.get('Nats-Msg-Id')
  return {
    subject: msg.subject,
    bytes: msg.data,
    seq: delivery.seq,
    tries: delivery.tries,
    timeMs: delivery.timeMs,
    ...(msgId ? { msgId } : {}),
    async settle(outcome, patience) {
      const doing = `settle ${msg.subject} as ${outcome.type}`
      const ack = utf8.encode(ackOf(outcome))
      await persist(
        doing,
        timeoutMs => request(broker, reply, ack, { doing, timeoutMs, signal: patience.signal }),
        patience,
      )
    },
    working() {
      if (!broker.nc.isClosed()) send(broker, reply, utf8.encode('+WPI'), { doing: `work on ${msg.subject}` })
    },
  }
}

function refusal(msg: Msg, doing: string): BrokerError {
  const code = msg.headers?.code ?? 0
  const text = msg.headers?.description ?? ''
  if (code === 503) return new BrokerError('no-responders', `${doing}: no such queue, or it is electing a leader`)
  if (/consumer deleted/i.test(text)) return new BrokerError('not-found', `${doing}: its consumer was deleted`)
  if (code === 409) return new BrokerError('busy', `${doing}: ${text}`, { retryAfterMs: 100 })
  return new BrokerError('unknown', `${doing}: ${code} ${text}`)
}

/**
 * Takes one item of a work queue, for those who take the next one only when they are free. undefined when there was none
 * within `expiresMs` (0: only what is there now), or the signal came.
 * Throws BrokerError 'unreachable', 'no-responders', 'busy', 'timeout' (all 'later') or 'not-found'.
 */
export async function pullOne(
  broker: Broker,
  stream: string,
  consumer: string,
  options: { signal: AbortSignal; expiresMs: number },
): Promise<WorkItem | undefined> {
  const { signal, expiresMs } = options
  const doing = `take from ${stream}`
  if (signal.aborted) return undefined
  const connected = await untilConnected(broker, expiresMs, signal).catch(() => false)
  if (signal.aborted) return undefined
  if (broker.nc.isClosed()) throw new BrokerError('closed', `${doing}: the connection to the broker is closed`)
  if (!connected) throw new BrokerError('unreachable', `${doing}: the connection is down`, { retryAfterMs: 100 })
  const box = mailbox(broker)
  const stop = broker.listen(status => {
    if (status.type === 'disconnected' || status.type === 'closed') box.interrupt()
  })
  try {
    const wish = expiresMs > 0 ? { batch: 1, expires: nanos(expiresMs) } : { batch: 1, no_wait: true }
    send(broker, `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, utf8.encode(JSON.stringify(wish)), {
      doing,
      reply: `${box.subject}.only`,
    })
    const msg = await box.next(expiresMs + GRACE_MS, signal)
    if (msg === undefined) {
      if (signal.aborted) return undefined
      if (!broker.connected)
        throw new BrokerError('unreachable', `${doing}: the connection broke`, { retryAfterMs: 100 })
      // JetStream says nothing at all when there is no such queue.
      await consumerInfo(broker, stream, consumer, { signal, giveUpAfterMs: 0 })
      throw new BrokerError('timeout', `${doing}: the broker did not answer in time`)
    }
    const delivery = deliveryOf(msg)
    if (delivery !== undefined) return itemOf(broker, msg, delivery)
    const code = msg.headers?.code
    if (code === 404 || code === 408) return undefined
    throw refusal(msg, doing)
  } finally {
    stop()
    // Given to us in the moment we turned away: somebody else may have it at once, not only after the ack wait.
    for (const msg of box.close())
      if (deliveryOf(msg) !== undefined && msg.reply) broker.nc.publish(msg.reply, utf8.encode('-NAK'))
  }
}

export interface WorkOptions {
  signal: AbortSignal
  /** What it throws becomes an outcome: a BrokerError that says 'never' gives the item up, all else is tried again later. */
  handle: (item: WorkItem, signal: AbortSignal) => Outcome | Promise<Outcome>
  /** Told of every item; `failed` when the broker did not take our word for it: it may be given out again. */
  onSettled?: (item: WorkItem, outcome: Outcome, failed?: BrokerError) => void
}

/** An open request is held this long by the server, milliseconds. */
const HOLD_MS = 2_000
/** After a failed attempt to take an item, milliseconds. */
const PAUSE_MS = 100
/** Signs of life per ack wait: two may get lost. */
const SIGNS_PER_ACK_WAIT = 3

/**
 * Works off a queue, one item at a time, until the signal comes; an item in hand is then settled as its handler says. Long
 * work is kept alive. Throws BrokerError 'not-found' when there is no such queue.
 */
export async function work(broker: Broker, stream: string, consumer: string, options: WorkOptions): Promise<void> {
  const { signal } = options
  let ackWaitMs: number | undefined
  while (!signal.aborted) {
    try {
      ackWaitMs ??= millis(
        (await consumerInfo(broker, stream, consumer, { signal })).config.ack_wait ?? nanos(ACK_WAIT_MS),
      )
      const item = await pullOne(broker, stream, consumer, { signal, expiresMs: HOLD_MS })
      if (item !== undefined) await workOn(item, ackWaitMs, options)
    } catch (e) {
      if (signal.aborted) return
      if (!isBrokerError(e) || e.next === 'never') throw e
      await pause(Math.max(e.retryAfterMs, PAUSE_MS), signal)
    }
  }
}

/** Pieces of work that lie in the queue and are with nobody. Throws BrokerError 'not-found'. */
export async function waitingWork(
  broker: Broker,
  stream: string,
  consumer: string,
  patience: Patience,
): Promise<number> {
  return (await consumerInfo(broker, stream, consumer, patience)).num_pending
}

/** Throws BrokerError 'not-found'. */
function consumerInfo(broker: Broker, stream: string, consumer: string, patience: Patience): Promise<ConsumerInfo> {
  return api<ConsumerInfo>(broker, `CONSUMER.INFO.${stream}.${consumer}`, undefined, patience)
}

/** The server's own default where the consumer says nothing. */
const ACK_WAIT_MS = 30_000

async function workOn(item: WorkItem, ackWaitMs: number, { handle, signal, onSettled }: WorkOptions): Promise<void> {
  const alive = setInterval(() => item.working(), ackWaitMs / SIGNS_PER_ACK_WAIT)
  let outcome: Outcome
  try {
    outcome = await handle(item, signal)
  } catch (e) {
    outcome = signal.aborted ? later(0, 'stopping') : outcomeOf(e)
  } finally {
    clearInterval(alive)
  }
  // The signal ends the taking of work; what was done is still said, within the time in which it is worth saying.
  const patience = { signal: new AbortController().signal, giveUpAfterMs: Math.min(ackWaitMs, 5_000) }
  try {
    await item.settle(outcome, patience)
    onSettled?.(item, outcome)
  } catch (e) {
    if (!isBrokerError(e)) throw e
    onSettled?.(item, outcome, e)
  }
}

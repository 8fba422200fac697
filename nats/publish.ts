import type { Broker } from './broker.js'
import { streamInfo } from './ensure.js'
import { BrokerError, isBrokerError } from './errors.js'
import type { Announcement, Holes, Message } from './message.js'
import { type Patience, persist } from './patience.js'
import { answerOf, request, send } from './request.js'

/** Where the broker put it. */
export interface Stored {
  stream: string
  /** Sequence in the stream, from 1. */
  seq: number
  /** The broker had it already, under the same message id. */
  duplicate: boolean
}

export interface StoreOptions {
  doing: string
  /** The stream that must take it; with it, a stream that is absent is told from one that is electing a leader. */
  expectStream?: string
  headers?: Readonly<Record<string, string>>
}

/**
 * Whether a stream is there, a server knows within milliseconds; while its leader is being elected nobody answers. Waiting for as
 * long as for other questions (2 s) added a second to the stall of a cluster that lost its leader.
 */
const IS_IT_THERE_MS = 250

/** One attempt to publish bytes into a stream; waits until they are stored. */
export async function storeOnce(
  broker: Broker,
  subject: string,
  bytes: Uint8Array,
  options: StoreOptions & { timeoutMs: number; signal: AbortSignal },
): Promise<Stored> {
  const { doing, expectStream, signal, timeoutMs } = options
  const headers = {
    ...options.headers,
    ...(expectStream === undefined ? {} : { 'Nats-Expected-Stream': expectStream }),
  }
  try {
    const msg = await request(broker, subject, bytes, { doing, signal, timeoutMs, headers })
    const ack = answerOf<{ stream: string; seq: number; duplicate?: boolean }>(msg, doing)
    broker.isolation.answered()
    // A replicated server of the 2.10 line may answer a repeated id with sequence 0 while the first copy is in flight.
    if (!(ack.seq >= 1))
      throw new BrokerError('busy', `${doing}: stored, but where is not known yet`, { retryAfterMs: 100 })
    return { stream: ack.stream, seq: ack.seq, duplicate: ack.duplicate ?? false }
  } catch (e) {
    broker.isolation.failed(e)
    if (!isBrokerError(e, 'no-responders') || expectStream === undefined) throw e
    const look = { signal, attemptMs: Math.min(IS_IT_THERE_MS, timeoutMs), giveUpAfterMs: 0 }
    if ((await streamInfo(broker, expectStream, look)) !== undefined) throw e
    throw new BrokerError('not-found', `${doing}: there is no stream ${expectStream}`, { cause: e })
  }
}

/**
 * Publishes bytes into a stream and waits until they are stored. The same id on every attempt: what was stored by an attempt
 * whose answer got lost is not stored twice, within the stream's duplicate window.
 */
export function store(
  broker: Broker,
  subject: string,
  bytes: Uint8Array,
  options: Patience & StoreOptions & { id: string },
): Promise<Stored> {
  const headers = { ...options.headers, 'Nats-Msg-Id': options.id }
  return persist(
    options.doing,
    timeoutMs => storeOnce(broker, subject, bytes, { ...options, headers, timeoutMs }),
    options,
  )
}

/**
 * Says something that must not get lost: it is in a stream when this returns, once however often it was tried.
 * Throws BrokerError 'no-responders' when no stream keeps the subject ('not-found' where `expectStream` names it), 'timeout',
 * 'stream-full', 'other-stream', ….
 */
export async function announce<T extends string, P>(
  broker: Broker,
  message: Announcement<T, P>,
  holes: Holes<T>,
  payload: P,
  options: Patience & { expectStream?: string; headers?: Readonly<Record<string, string>> },
): Promise<Stored> {
  const subject = message.at(holes)
  return store(broker, subject, message.encode(payload), {
    ...options,
    id: message.id(payload, holes),
    doing: `announce ${subject}`,
  })
}

/** Says something to whoever listens now; lost when nobody does or the connection is down. Throws BrokerError 'max-payload'. */
export function tell<T extends string, P>(broker: Broker, message: Message<T, P>, holes: Holes<T>, payload: P): void {
  const subject = message.at(holes)
  if (!broker.nc.isClosed()) send(broker, subject, message.encode(payload), { doing: `tell ${subject}` })
}

import type { Broker } from './connect.js'
import { BrokerError } from './errors.js'
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

/**
 * Publishes bytes into a stream and waits until they are stored. The same id on every attempt: an attempt whose answer got
 * lost is not stored twice within the stream's duplicate window.
 */
export async function store(
  broker: Broker,
  subject: string,
  bytes: Uint8Array,
  options: Patience & { id: string; doing: string; expectStream?: string; headers?: Readonly<Record<string, string>> },
): Promise<Stored> {
  const headers: Record<string, string> = { ...options.headers, 'Nats-Msg-Id': options.id }
  if (options.expectStream !== undefined) headers['Nats-Expected-Stream'] = options.expectStream
  return persist(
    options.doing,
    timeoutMs => storeOnce(broker, subject, bytes, { ...options, headers, timeoutMs }),
    options,
  )
}

/** One attempt of `store`. */
export async function storeOnce(
  broker: Broker,
  subject: string,
  bytes: Uint8Array,
  options: { doing: string; timeoutMs: number; signal: AbortSignal; headers: Readonly<Record<string, string>> },
): Promise<Stored> {
  const msg = await request(broker, subject, bytes, options)
  const ack = answerOf<{ stream: string; seq: number; duplicate?: boolean }>(msg, options.doing)
  // A replicated server of the 2.10 line may answer a repeated id with sequence 0 while the first copy is in flight.
  if (!(ack.seq >= 1))
    throw new BrokerError('busy', `${options.doing}: stored, but where is not known yet`, { retryAfterMs: 100 })
  return { stream: ack.stream, seq: ack.seq, duplicate: ack.duplicate ?? false }
}

/**
 * Says something that must not get lost: it is in a stream when this returns, once however often it was tried.
 * Throws BrokerError 'no-responders' when no stream keeps the subject, 'timeout', 'stream-full', 'other-stream', ….
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

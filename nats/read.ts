import { type Msg, type MsgHdrs, MsgHdrsImpl, type StreamInfo } from 'nats'
import type { Broker } from './broker.js'
import { apiError, isBrokerError } from './errors.js'
import { type Patience, persist } from './patience.js'
import { answerOf, api, request } from './request.js'

/** A message as a stream keeps it. */
export interface StoredMessage {
  subject: string
  bytes: Uint8Array
  seq: number
  /** When the server stored it, unix ms by the server's clock. */
  timeMs: number
  msgId?: string
  headers?: MsgHdrs
}

type Which = { last_by_subj: string } | { seq: number } | { seq: number; next_by_subj: string }

const utf8 = new TextEncoder()

/** Unix ms of an RFC 3339 time with nanoseconds. */
export function rfc3339Ms(text: string): number {
  return Date.parse(text.replace(/(\.\d{3})\d+/, '$1'))
}

function withHeaders(base: Omit<StoredMessage, 'msgId' | 'headers'>, headers: MsgHdrs | undefined): StoredMessage {
  const msgId = headers?.get('Nats-Msg-Id')
  return { ...base, ...(msgId ? { msgId } : {}), ...(headers ? { headers } : {}) }
}

function fromDirect(msg: Msg, doing: string): StoredMessage | undefined {
  const headers = msg.headers
  if (headers === undefined) return undefined
  // A status instead of a message: 404 no such message, 408 bad request, both without a body.
  if (headers.code === 404) return undefined
  if (headers.code >= 300) throw apiError({ code: headers.code, description: headers.description }, doing)
  return withHeaders(
    {
      subject: headers.get('Nats-Subject'),
      bytes: msg.data,
      seq: Number(headers.get('Nats-Sequence')),
      timeMs: rfc3339Ms(headers.get('Nats-Time-Stamp')),
    },
    headers,
  )
}

interface Asking {
  doing: string
  timeoutMs: number
  signal: AbortSignal
}

/** Asks whichever server answers first, a follower too: fast, and up to a moment behind. */
async function direct(
  broker: Broker,
  stream: string,
  which: Which,
  asking: Asking,
): Promise<StoredMessage | undefined> {
  const bytes = utf8.encode(JSON.stringify(which))
  return fromDirect(await request(broker, `$JS.API.DIRECT.GET.${stream}`, bytes, asking), asking.doing)
}

interface LeaderAnswer {
  message: { subject: string; seq: number; data?: string; hdrs?: string; time: string }
}

const NO_MESSAGE_FOUND = 10037

/** Asks the stream's leader: what is not there is not there. */
async function fromLeader(
  broker: Broker,
  stream: string,
  which: Which,
  asking: Asking,
): Promise<StoredMessage | undefined> {
  const bytes = utf8.encode(JSON.stringify(which))
  try {
    const answer = await request(broker, `$JS.API.STREAM.MSG.GET.${stream}`, bytes, asking)
    const { subject, seq, data, hdrs, time } = answerOf<LeaderAnswer>(answer, asking.doing).message
    const headers = hdrs === undefined ? undefined : MsgHdrsImpl.decode(Buffer.from(hdrs, 'base64'))
    return withHeaders({ subject, seq, bytes: Buffer.from(data ?? '', 'base64'), timeMs: rfc3339Ms(time) }, headers)
  } catch (e) {
    if (isBrokerError(e) && e.number === NO_MESSAGE_FOUND) return undefined
    throw e
  }
}

/** Directly where that answers with a message, from the leader where it does not: so that 'undefined' can be trusted. */
function one(broker: Broker, stream: string, which: Which, patience: Patience): Promise<StoredMessage | undefined> {
  const doing = `read ${JSON.stringify(which)} of ${stream}`
  const once = async (timeoutMs: number) => {
    const asking = { doing, timeoutMs, signal: patience.signal }
    const found = await direct(broker, stream, which, asking).catch(e => {
      // A stream that is absent or made without direct reads never answers: its leader knows which.
      if (isBrokerError(e, 'timeout') || isBrokerError(e, 'no-responders')) return undefined
      throw e
    })
    return found ?? fromLeader(broker, stream, which, asking)
  }
  return persist(doing, once, patience)
}

/** The newest message of a subject; undefined when the stream has none. Throws 'not-found' when there is no such stream. */
export function lastOf(
  broker: Broker,
  stream: string,
  subject: string,
  patience: Patience,
): Promise<StoredMessage | undefined> {
  return one(broker, stream, { last_by_subj: subject }, patience)
}

/** `lastOf` by the stream's leader alone: for decisions that a follower's old answer would spoil. */
export function lastOfByLeader(
  broker: Broker,
  stream: string,
  subject: string,
  patience: Patience,
): Promise<StoredMessage | undefined> {
  const doing = `read the last ${subject} of ${stream}`
  const once = (timeoutMs: number) =>
    fromLeader(broker, stream, { last_by_subj: subject }, { doing, timeoutMs, signal: patience.signal })
  return persist(doing, once, patience)
}

/** The message with this sequence; undefined when it was deleted, has aged out or does not exist yet. */
export function messageAt(
  broker: Broker,
  stream: string,
  seq: number,
  patience: Patience,
): Promise<StoredMessage | undefined> {
  return one(broker, stream, { seq }, patience)
}

/** The first message of a subject at or after a sequence. */
export function nextOf(
  broker: Broker,
  stream: string,
  subject: string,
  seq: number,
  patience: Patience,
): Promise<StoredMessage | undefined> {
  return one(broker, stream, { seq, next_by_subj: subject }, patience)
}

/**
 * The subjects a stream holds messages of, and how many of each, by the server's own index: nothing is read, no consumer made.
 * @param filter subject, wildcards allowed
 */
export async function subjects(
  broker: Broker,
  stream: string,
  filter: string,
  patience: Patience,
): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  // The server answers in pages (100,000 subjects on 2.9); a page that adds nothing ends it.
  for (let offset = 0; ; ) {
    const info = await api<StreamInfo & { total?: number }>(
      broker,
      `STREAM.INFO.${stream}`,
      { subjects_filter: filter, offset },
      patience,
    )
    const page = Object.entries(info.state.subjects ?? {})
    for (const [subject, count] of page) found.set(subject, count)
    offset += page.length
    if (page.length === 0 || offset >= (info.total ?? 0)) return found
  }
}

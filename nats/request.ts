import { headers as emptyHeaders, type Msg, type MsgHdrs } from 'nats'
import type { Broker } from './connect.js'
import { type ApiFailure, apiError, brokerError } from './errors.js'
import { type Patience, persist, untilAborted } from './patience.js'

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

export function headersOf(record: Readonly<Record<string, string>>): MsgHdrs {
  const made = emptyHeaders()
  for (const [name, value] of Object.entries(record)) made.set(name, value)
  return made
}

/** One request, one answer, one timer. Throws BrokerError ('timeout', 'no-responders', …) or the signal's reason. */
export async function request(
  broker: Broker,
  subject: string,
  bytes: Uint8Array,
  options: { doing: string; timeoutMs: number; signal: AbortSignal; headers?: Readonly<Record<string, string>> },
): Promise<Msg> {
  options.signal.throwIfAborted()
  const headers = options.headers && { headers: headersOf(options.headers) }
  try {
    return await untilAborted(
      broker.nc.request(subject, bytes, { timeout: options.timeoutMs, ...headers }),
      options.signal,
    )
  } catch (e) {
    options.signal.throwIfAborted()
    throw brokerError(e, options.doing)
  }
}

/** The JSON of an API or publish answer; throws what the broker refused as BrokerError. */
export function answerOf<T>(msg: Msg, doing: string): T {
  const answer = JSON.parse(fromUtf8.decode(msg.data)) as T & { error?: ApiFailure }
  if (answer.error !== undefined) throw apiError(answer.error, doing)
  return answer
}

/** JetStream's own operations may wait for a disk or a quorum: creating a replicated stream took up to 0.8 s. */
const API_ATTEMPT_MS = 2_000

/**
 * One call of JetStream's API, repeated while the broker is away. Only calls that may be done twice go through here.
 * @param verb the subject below `$JS.API.`, e.g. 'STREAM.INFO.GRAIL_EVENTS'
 */
export async function api<T>(broker: Broker, verb: string, body: object | undefined, patience: Patience): Promise<T> {
  const bytes = body === undefined ? new Uint8Array(0) : utf8.encode(JSON.stringify(body))
  const doing = verb.toLowerCase().startsWith('stream') || verb.startsWith('CONSUMER') ? verb : `JetStream ${verb}`
  return persist(
    doing,
    async timeoutMs =>
      answerOf<T>(
        await request(broker, `$JS.API.${verb}`, bytes, { doing, timeoutMs, signal: patience.signal }),
        doing,
      ),
    { attemptMs: API_ATTEMPT_MS, ...patience },
  )
}

import { headers as emptyHeaders, type Msg, type MsgHdrs } from 'nats'
import { answerTo } from './answers.js'
import type { Broker } from './broker.js'
import { type ApiFailure, apiError, BrokerError, brokerError } from './errors.js'
import { type Patience, persist } from './patience.js'
import { bell } from './waiting.js'

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

export function headersOf(record: Readonly<Record<string, string>>): MsgHdrs {
  const made = emptyHeaders()
  for (const [name, value] of Object.entries(record)) made.set(name, value)
  return made
}

/** Whether the connection stands, at the latest after `withinMs`. */
export async function untilConnected(broker: Broker, withinMs: number, signal: AbortSignal): Promise<boolean> {
  if (broker.connected || broker.nc.isClosed() || withinMs <= 0) return broker.connected
  const back = bell()
  const stop = broker.listen(status => {
    if (status.type === 'reconnected' || status.type === 'closed') back.ring()
  })
  await back.rest(withinMs, signal)
  stop()
  signal.throwIfAborted()
  return broker.connected
}

/** One request, one answer, one timer. Rejects with a BrokerError ('timeout', 'no-responders', 'unreachable', …) or the signal's reason. */
export function request(
  broker: Broker,
  subject: string,
  bytes: Uint8Array,
  options: { doing: string; timeoutMs: number; signal: AbortSignal; headers?: Readonly<Record<string, string>> },
): Promise<Msg> {
  const { doing, signal } = options
  if (signal.aborted) return Promise.reject(signal.reason)
  // While it drains, messages still go out, but answers are not heard any more.
  if (broker.nc.isClosed() || broker.nc.isDraining())
    return Promise.reject(new BrokerError('closed', `${doing}: the connection to the broker is closed`))
  if (!broker.connected)
    return Promise.reject(new BrokerError('unreachable', `${doing}: the connection to the broker is down`))
  const headers = options.headers && { headers: headersOf(options.headers) }
  return answerTo(broker, subject, bytes, { doing, timeoutMs: options.timeoutMs, signal, ...headers })
}

/** Sends without waiting for anything. Throws BrokerError 'closed' or 'max-payload'. */
export function send(
  broker: Broker,
  subject: string,
  bytes: Uint8Array,
  options: { doing: string; reply?: string },
): void {
  try {
    broker.nc.publish(subject, bytes, options.reply === undefined ? {} : { reply: options.reply })
  } catch (e) {
    throw brokerError(e, options.doing)
  }
}

/** The JSON of an API or publish answer; throws what the broker refused as BrokerError. */
export function answerOf<T>(msg: Msg, doing: string): T {
  let answer: T & { error?: ApiFailure }
  try {
    answer = JSON.parse(fromUtf8.decode(msg.data)) as T & { error?: ApiFailure }
  } catch (e) {
    throw new BrokerError('payload', `${doing}: the answer is not JetStream's: somebody else listens there`, {
      cause: e,
    })
  }
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
  const { signal, attemptMs = API_ATTEMPT_MS } = patience
  const once = async (timeoutMs: number) => {
    try {
      const answer = answerOf<T>(
        await request(broker, `$JS.API.${verb}`, bytes, { doing: verb, timeoutMs, signal }),
        verb,
      )
      broker.isolation.answered()
      return answer
    } catch (e) {
      broker.isolation.failed(e)
      throw e
    }
  }
  return persist(verb, once, { ...patience, attemptMs })
}

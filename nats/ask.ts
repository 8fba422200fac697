import { performance } from 'node:perf_hooks'
import type { Broker } from './broker.js'
import { brokerError, isBrokerError } from './errors.js'
import { type Holes, type Message, message, type ReadHoles } from './message.js'
import { ATTEMPT_MS, untilAborted } from './patience.js'
import { headersOf, request, untilConnected } from './request.js'
import { onAbort } from './waiting.js'

/** A message that is answered. */
export interface Question<T extends string, Q, A> {
  readonly asks: Message<T, Q>
  readonly answers: Message<string, A>
}

/** What came of asking. Nobody there and no answer in time are different things, and neither is an exception. */
export type Asked<A> =
  | { type: 'answer'; answer: A }
  /** Somebody is there but could not answer; `why` is their sentence. */
  | { type: 'refused'; why: string }
  /** Somebody may have heard it. */
  | { type: 'timeout' }
  /** Nobody heard it. */
  | { type: 'no-responders' }

const REFUSED = 'Refused'
const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

/** Declares a question: its subject, what is asked and what is answered. */
export function question<const T extends string, Q, A>(
  template: T,
  options: { parse: (value: unknown) => Q; parseAnswer: (value: unknown) => A },
): Question<T, Q, A> {
  return {
    asks: message(template, { parse: options.parse }),
    answers: message(template as string, { parse: options.parseAnswer }),
  }
}

/** Asks once. Throws only what a repetition would not change: BrokerError 'payload' for an answer that is none, 'permission', 'closed'. */
export async function ask<T extends string, Q, A>(
  broker: Broker,
  question: Question<T, Q, A>,
  holes: Holes<T>,
  payload: Q,
  options: { signal: AbortSignal; timeoutMs?: number },
): Promise<Asked<A>> {
  const subject = question.asks.at(holes)
  const timeoutMs = options.timeoutMs ?? ATTEMPT_MS
  const end = performance.now() + timeoutMs
  if (!(await untilConnected(broker, timeoutMs, options.signal)) && !broker.nc.isClosed()) return { type: 'timeout' }
  try {
    const msg = await request(broker, subject, question.asks.encode(payload), {
      doing: `ask ${subject}`,
      timeoutMs: Math.max(1, end - performance.now()),
      signal: options.signal,
    })
    if (msg.headers?.has(REFUSED)) return { type: 'refused', why: fromUtf8.decode(msg.data) }
    return { type: 'answer', answer: question.answers.decode(msg.data) }
  } catch (e) {
    if (isBrokerError(e, 'unreachable')) return { type: 'timeout' }
    if (isBrokerError(e, 'timeout') || isBrokerError(e, 'no-responders'))
      return { type: e.code as 'timeout' | 'no-responders' }
    throw e
  }
}

/**
 * Answers a question until the signal comes. Resolves when the broker knows that we listen. What the handler throws, and a
 * question that cannot be read, is told to the asker as 'refused'.
 * @param options.queue answerers of the same queue name share the questions, one each
 * @param options.only the questions with these holes alone
 */
export async function answer<T extends string, Q, A>(
  broker: Broker,
  question: Question<T, Q, A>,
  handler: (payload: Q, holes: ReadHoles<T>, signal: AbortSignal) => A | Promise<A>,
  options: { signal: AbortSignal; queue?: string; only?: Partial<Holes<T>> },
): Promise<void> {
  const { signal, queue, only } = options
  signal.throwIfAborted()
  const subject = question.asks.matching(only ?? ({} as Partial<Holes<T>>))
  const subscription = broker.nc.subscribe(subject, {
    ...(queue === undefined ? {} : { queue }),
    callback: (error, msg) => {
      if (error || !msg.reply) return
      const reply = async () =>
        question.answers.encode(
          await handler(question.asks.decode(msg.data), question.asks.holes(msg.subject)!, signal),
        )
      reply().then(
        bytes => void (broker.nc.isClosed() || msg.respond(bytes)),
        e => {
          const why = e instanceof Error ? e.message : String(e)
          if (!broker.nc.isClosed()) msg.respond(utf8.encode(why), { headers: headersOf({ [REFUSED]: 'yes' }) })
        },
      )
    },
  })
  onAbort(signal, () => subscription.unsubscribe())
  try {
    await untilAborted(broker.nc.flush(), signal)
  } catch (e) {
    signal.throwIfAborted()
    // The connection broke just now: the library subscribes again by itself when it is back.
    const failed = brokerError(e, `answer ${subject}`)
    if (failed.next === 'never') throw failed
  }
}

import { DebugEvents, Events, type Status } from 'nats'
import type { BrokerError } from './errors.js'
import { bell } from './waiting.js'

/** What happens to a connection. Logging is one reader of it. */
export type BrokerStatus =
  | { type: 'connected'; server: string }
  | { type: 'disconnected'; server: string }
  | { type: 'reconnecting'; server: string }
  | { type: 'reconnected'; server: string }
  /** The server answers nothing that is stored: another one is tried. */
  | { type: 'isolated'; server: string }
  /** The server will stop soon: a cluster's client moves to another one by itself. */
  | { type: 'lame-duck'; server: string }
  /** The server dropped us for not reading fast enough: what it had sent is lost. */
  | { type: 'slow-consumer'; why: string }
  /** `refused`: the subject we are not allowed to publish on. */
  | { type: 'error'; code: string; why: string; refused?: string }
  /** For good. `why` is there when nobody here asked for it, e.g. the password was changed. */
  | { type: 'closed'; why?: BrokerError }

/**
 * The library's event as ours; undefined for what concerns nobody (ping timers, cluster addresses).
 * @param lastError the last sentence the server sent with -ERR, where known
 */
export function statusOf(raw: Status, lastError: string | undefined): BrokerStatus | undefined {
  const text = typeof raw.data === 'string' ? raw.data : JSON.stringify(raw.data)
  switch (raw.type) {
    case Events.Disconnect:
      return { type: 'disconnected', server: text }
    case DebugEvents.Reconnecting:
      return { type: 'reconnecting', server: text }
    case Events.Reconnect:
      return { type: 'reconnected', server: text }
    case Events.LDM:
      return { type: 'lame-duck', server: text }
    case Events.Error: {
      const { operation, subject } = raw.permissionContext ?? {}
      // The library keeps no sentence of a refusal: its last one is about something else then.
      const why = raw.permissionContext ? text : (lastError ?? text)
      if (!raw.permissionContext && /slow consumer/i.test(why)) return { type: 'slow-consumer', why }
      return { type: 'error', code: text, why, ...(operation === 'publish' && subject ? { refused: subject } : {}) }
    }
    default:
      return undefined
  }
}

/** How long one looks for news before looking again, milliseconds; news itself comes at once. */
const LOOK_MS = 60_000

/** What is told from this moment on, one by one, until 'closed' or the signal. */
export function statuses(
  listen: (listener: (status: BrokerStatus) => void) => () => void,
  signal: AbortSignal,
  isClosed: () => boolean,
): AsyncIterable<BrokerStatus> {
  const told: BrokerStatus[] = []
  const news = bell()
  const stop = listen(status => {
    told.push(status)
    news.ring()
  })
  async function* read(): AsyncGenerator<BrokerStatus> {
    try {
      while (!signal.aborted) {
        const status = told.shift()
        if (status !== undefined) yield status
        if (status?.type === 'closed' || (told.length === 0 && isClosed())) return
        if (told.length === 0) await news.rest(LOOK_MS, signal)
      }
    } finally {
      stop()
    }
  }
  return read()
}

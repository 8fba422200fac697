import { performance } from 'node:perf_hooks'
import type { JetStreamClient, JetStreamManager, NatsConnection } from 'nats'
import type { Broker } from './broker.js'
import { type DialOptions, dial, WAIT_MS } from './dial.js'
import { brokerError } from './errors.js'
import { type Needs, refuseUnfit } from './fitness.js'
import { ISOLATED_MS, isolationOf } from './isolation.js'
import { type BrokerStatus, statuses, statusOf } from './status.js'
import { pause } from './waiting.js'

/** `signal` ends the connecting alone. A connection outlives it, so that leases can still be given back: `drain` ends that. */
export interface BrokerOptions extends DialOptions, Needs {
  onStatus?: (status: BrokerStatus) => void
  /** A server that answers no question to JetStream for so long is left for another one, ms. */
  isolatedMs?: number
}

const DRAIN_MS = 2_000
/** So much longer than the time given may a process wait, as a part of it. */
const ISOLATED_SPREAD = 0.25

/**
 * Connects, waits for the first server to come up (20 s unless said), and refuses a broker that cannot do the work, each with
 * one sentence that names the cure. Afterwards it reconnects forever.
 * Throws BrokerError: 'unreachable', 'auth', 'too-old', 'no-jetstream', 'max-payload', 'invalid'. No text has a password in it.
 */
export async function connectBroker(options: BrokerOptions): Promise<Broker> {
  const nc = await dial(options)
  try {
    const jsm = await nc.jetstreamManager({ checkAPI: false })
    const broker = brokerOn(nc, nc.jetstream(), jsm, options)
    await refuseUnfit(broker, options, { signal: options.signal, giveUpAfterMs: options.waitMs ?? WAIT_MS })
    return broker
  } catch (e) {
    await nc.close()
    throw e
  }
}

function brokerOn(
  nc: NatsConnection,
  js: JetStreamClient,
  jsm: JetStreamManager,
  { onStatus, servers, isolatedMs = ISOLATED_MS }: BrokerOptions,
): Broker {
  const listeners = new Set<(status: BrokerStatus) => void>(onStatus ? [onStatus] : [])
  let connected = true
  let closed = false
  const tell = (status: BrokerStatus) => {
    if (status.type === 'disconnected' || status.type === 'closed') connected = false
    if (status.type === 'disconnected' || status.type === 'reconnected') isolation.forget()
    if (status.type === 'reconnected') {
      connected = true
      // The library's first choice after the first connection is the same server once more.
      const back = server() === leaving
      leaving = undefined
      if (back) reconnect()
    }
    for (const listener of [...listeners]) listener(status)
  }
  const watch = async () => {
    for await (const raw of nc.status()) {
      const status = statusOf(raw, lastErrorOf(nc))
      if (status !== undefined) tell(status)
    }
  }
  void watch()
  void nc.closed().then(reason => {
    closed = true
    tell(reason ? { type: 'closed', why: brokerError(reason, 'connection closed') } : { type: 'closed' })
    listeners.clear()
  })
  const listen = (listener: (status: BrokerStatus) => void) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  const server = () => nc.getServer()
  const reconnect = () => {
    if (connected && !nc.isDraining()) void nc.reconnect().catch(() => {})
  }
  /** The server that is being left. */
  let leaving: string | undefined
  const leave = () => {
    if (new Set([...servers, ...(nc.info?.connect_urls ?? [])]).size < 2) return
    tell({ type: 'isolated', server: server() })
    leaving = server()
    reconnect()
  }
  // Not all actors at once: they would find the other servers at the same moment.
  const isolation = isolationOf(isolatedMs * (1 + Math.random() * ISOLATED_SPREAD), leave, () => performance.now())
  queueMicrotask(() => tell({ type: 'connected', server: server() }))

  return {
    nc,
    js,
    jsm,
    isolation,
    get info() {
      const info = nc.info
      return {
        version: info?.version ?? 'unknown',
        maxPayload: info?.max_payload ?? 0,
        serverName: info?.server_name ?? 'unknown',
        server: server(),
        jetStream: info?.jetstream ?? false,
      }
    },
    get connected() {
      return connected && !closed
    },
    listen,
    status: signal => statuses(listen, signal, () => closed),
    async drain(withinMs = DRAIN_MS) {
      if (nc.isClosed()) return
      const given = new AbortController()
      const late = pause(withinMs, given.signal)
      // The library's own drain never ends when the connection breaks underneath it.
      await Promise.race([connected ? nc.drain().catch(() => {}) : undefined, late])
      given.abort()
      await nc.close()
    },
  }
}

/** The library's status events carry only a code; the sentence the server sent is kept in its protocol handler. */
function lastErrorOf(nc: NatsConnection): string | undefined {
  return (nc as { protocol?: { lastError?: Error } }).protocol?.lastError?.message
}

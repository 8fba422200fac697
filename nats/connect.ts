import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type JetStreamClient, type JetStreamManager, type NatsConnection, type TlsOptions } from 'nats'
import { BrokerError, brokerError } from './errors.js'
import { untilAborted } from './patience.js'
import { type BrokerStatus, statusOf } from './status.js'

export interface BrokerInfo {
  version: string
  /** Bytes, headers included. */
  maxPayload: number
  serverName: string
  /** Where this connection goes now, host:port. */
  server: string
}

/** One connection to the broker; one per process (and a second one for large blobs, where they would hold up small messages). */
export interface Broker {
  readonly nc: NatsConnection
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  /** Of the server this connection goes to now. */
  readonly info: BrokerInfo
  /** Whether the connection stands at this moment. What is sent while it does not is lost, not kept. */
  readonly connected: boolean
  /** What happens to the connection from now on; ends with 'closed' or when the signal comes. */
  status(signal: AbortSignal): AsyncIterable<BrokerStatus>
  /** Like `status`, as a callback; returns how to stop it. */
  listen(listener: (status: BrokerStatus) => void): () => void
  /** Delivers what is under way, then closes; within `withinMs` (default 2 s) even when the broker is gone. */
  drain(withinMs?: number): Promise<void>
}

export interface BrokerOptions {
  /** `nats://host:4222`, several for a cluster. `user:password@` in them works as `user` and `password`. */
  servers: readonly string[]
  /** Shown by the server's monitoring: role and instance. */
  name: string
  user?: string
  password?: string
  tls?: TlsOptions
  /** Oldest server accepted. */
  minimumVersion?: string
  /** Smallest max_payload accepted, bytes. */
  minimumPayload?: number
  /** How long the first connection may take, milliseconds. */
  waitMs?: number
  /** Ends the connecting. The made connection outlives it, so that leases can still be given back: `drain` ends that. */
  signal: AbortSignal
  onStatus?: (status: BrokerStatus) => void
}

/** Streams, work queues, deduplication and direct gets were tested from here on. */
const MINIMUM_VERSION = '2.9.0'
const MINIMUM_PAYLOAD_BYTES = 4 * 1024 * 1024
const WAIT_MS = 20_000
/** One dial, TLS included. */
const DIAL_MS = 5_000
/** Between two dials of the same server; jitter on top so that a fleet does not come back in one blow. */
const REDIAL_MS = 150
const REDIAL_JITTER_MS = 100
/** The library's default of two minutes would not notice a frozen server within a window. */
const PING_MS = 5_000
const PINGS_UNANSWERED = 2
const DRAIN_MS = 2_000

/** -1, 0 or 1. Numbers only: a pre-release counts as its release. */
function compareVersions(a: string, b: string): number {
  const numbers = (v: string) => (v.match(/\d+/g) ?? []).slice(0, 3).map(Number)
  const [x, y] = [numbers(a), numbers(b)]
  for (let i = 0; i < 3; i++) {
    const d = (x[i] ?? 0) - (y[i] ?? 0)
    if (d !== 0) return Math.sign(d)
  }
  return 0
}

interface Address {
  server: string
  user?: string
  password?: string
}

function addressOf(given: string): Address {
  const text = given.includes('://') ? given : `nats://${given}`
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new BrokerError('invalid', 'a NATS server address must look like nats://host:4222')
  }
  const user = url.username && decodeURIComponent(url.username)
  const password = url.password && decodeURIComponent(url.password)
  return {
    server: `${url.protocol}//${url.host}`,
    ...(user ? { user } : {}),
    ...(password ? { password } : {}),
  }
}

/** The connection could not be made now but may be in a moment: nobody listens yet, or the name does not resolve yet. */
function mayComeUp(error: BrokerError): boolean {
  return error.next === 'later' || error.code === 'unknown'
}

async function dial(options: BrokerOptions, addresses: Address[]): Promise<NatsConnection> {
  const user = options.user ?? addresses.find(a => a.user !== undefined)?.user
  const password = options.password ?? addresses.find(a => a.password !== undefined)?.password
  const names = addresses.map(a => a.server).join(', ')
  const end = performance.now() + (options.waitMs ?? WAIT_MS)
  for (;;) {
    options.signal.throwIfAborted()
    let failed: BrokerError
    try {
      const dialled = connect({
        servers: addresses.map(a => a.server),
        name: options.name,
        ...(user === undefined ? {} : { user }),
        ...(password === undefined ? {} : { pass: password }),
        ...(options.tls === undefined ? {} : { tls: options.tls }),
        timeout: DIAL_MS,
        maxReconnectAttempts: -1,
        reconnectTimeWait: REDIAL_MS,
        reconnectJitter: REDIAL_JITTER_MS,
        reconnectJitterTLS: REDIAL_JITTER_MS,
        pingInterval: PING_MS,
        maxPingOut: PINGS_UNANSWERED,
        // A stack trace per request costs more than the request.
        noAsyncTraces: true,
      })
      dialled.then(nc => (options.signal.aborted ? nc.close() : undefined)).catch(() => {})
      return await untilAborted(dialled, options.signal)
    } catch (e) {
      options.signal.throwIfAborted()
      failed = brokerError(e, `connect to NATS at ${names}`)
    }
    if (failed.code === 'auth') {
      const who = user === undefined ? 'without a user' : `as user '${user}'`
      throw new BrokerError(
        'auth',
        `NATS at ${names} refuses the connection ${who}: set the user and password of its configuration`,
      )
    }
    if (!mayComeUp(failed)) throw failed
    if (performance.now() + REDIAL_MS >= end) {
      throw new BrokerError(
        'unreachable',
        `no NATS server answers at ${names} (waited ${Math.round((options.waitMs ?? WAIT_MS) / 1000)} s, last: ${lastWords(failed)}): start nats-server or correct the address`,
        { cause: failed },
      )
    }
    await sleep(REDIAL_MS + Math.random() * REDIAL_JITTER_MS, undefined, { signal: options.signal }).catch(() => {})
  }
}

function lastWords(failed: BrokerError): string {
  const cause = failed.cause
  return cause instanceof Error ? cause.message : failed.message
}

async function refuseUnfit(nc: NatsConnection, jsm: JetStreamManager, options: BrokerOptions): Promise<void> {
  const info = nc.info
  if (info === undefined) throw new BrokerError('unreachable', 'the NATS server went away while connecting')
  const where = `NATS ${info.version} at ${nc.getServer()}`
  const minimum = options.minimumVersion ?? MINIMUM_VERSION
  if (compareVersions(info.version, minimum) < 0)
    throw new BrokerError('too-old', `${where} is too old: install nats-server ${minimum} or newer`)
  const payload = options.minimumPayload ?? MINIMUM_PAYLOAD_BYTES
  if (info.max_payload < payload)
    throw new BrokerError(
      'max-payload',
      `${where} takes messages of ${info.max_payload} bytes, ${payload} are needed: set max_payload: ${Math.max(payload, 8 * 1024 * 1024)} in its configuration`,
    )
  try {
    await jsm.getAccountInfo()
  } catch (e) {
    const failed = brokerError(e, where)
    if (failed.code === 'no-responders' || failed.code === 'no-jetstream')
      throw new BrokerError(
        'no-jetstream',
        `${where} runs without JetStream: add a jetstream block to its configuration`,
      )
    throw failed
  }
}

/**
 * Connects, waits for the first server to come up, and refuses a broker that cannot do the work, each with one sentence
 * that names the cure. Afterwards it reconnects forever.
 * Throws BrokerError: 'unreachable', 'auth', 'too-old', 'no-jetstream', 'max-payload', 'invalid'. No text has a password in it.
 */
export async function connectBroker(options: BrokerOptions): Promise<Broker> {
  if (options.servers.length === 0)
    throw new BrokerError('invalid', 'no NATS server given: name at least one nats://host:4222')
  const nc = await dial(options, options.servers.map(addressOf))
  try {
    const js = nc.jetstream()
    const jsm = await nc.jetstreamManager({ checkAPI: false })
    await untilAborted(refuseUnfit(nc, jsm, options), options.signal)
    return brokerOn(nc, js, jsm, options.onStatus)
  } catch (e) {
    await nc.close()
    throw e
  }
}

function brokerOn(
  nc: NatsConnection,
  js: JetStreamClient,
  jsm: JetStreamManager,
  onStatus: ((status: BrokerStatus) => void) | undefined,
): Broker {
  const listeners = new Set<(status: BrokerStatus) => void>(onStatus ? [onStatus] : [])
  let connected = true
  let closed = false
  const tell = (status: BrokerStatus) => {
    if (status.type === 'disconnected' || status.type === 'closed') connected = false
    if (status.type === 'reconnected') connected = true
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
  const server = () => nc.getServer()
  queueMicrotask(() => tell({ type: 'connected', server: server() }))

  return {
    nc,
    js,
    jsm,
    get info() {
      const info = nc.info
      return {
        version: info?.version ?? 'unknown',
        maxPayload: info?.max_payload ?? 0,
        serverName: info?.server_name ?? 'unknown',
        server: server(),
      }
    },
    get connected() {
      return connected && !closed
    },
    listen(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    async *status(signal) {
      const waiting: BrokerStatus[] = []
      let wake = () => {}
      const stop = this.listen(status => {
        waiting.push(status)
        wake()
      })
      const abort = () => wake()
      signal.addEventListener('abort', abort)
      try {
        while (!signal.aborted) {
          const status = waiting.shift()
          if (status === undefined) {
            if (closed) return
            await new Promise<void>(resolve => {
              wake = resolve
            })
            continue
          }
          yield status
          if (status.type === 'closed') return
        }
      } finally {
        signal.removeEventListener('abort', abort)
        stop()
      }
    },
    async drain(withinMs = DRAIN_MS) {
      if (nc.isClosed()) return
      const given = new AbortController()
      const late = sleep(withinMs, undefined, { signal: given.signal }).catch(() => {})
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

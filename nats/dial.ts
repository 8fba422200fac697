import { performance } from 'node:perf_hooks'
import { connect, type NatsConnection, type TlsOptions } from 'nats'
import { BrokerError, brokerError } from './errors.js'
import { untilAborted } from './patience.js'
import { pause } from './waiting.js'

export interface DialOptions {
  /** `nats://host:4222`, several for a cluster. `user:password@` in them works as `user` and `password`. */
  servers: readonly string[]
  /** Shown by the server's monitoring: role and instance. */
  name: string
  user?: string
  password?: string
  tls?: TlsOptions
  /** How long the first connection may take, milliseconds. */
  waitMs?: number
  signal: AbortSignal
}

export const WAIT_MS = 20_000
/** One dial, TLS included. */
const DIAL_MS = 5_000
/** Between two dials of the same server; jitter on top so that a fleet does not come back in one blow. */
const REDIAL_MS = 150
const REDIAL_JITTER_MS = 100
/** The library's default of two minutes would not notice a frozen server within a window. */
const PING_MS = 5_000
const PINGS_UNANSWERED = 2

interface Address {
  server: string
  user?: string
  password?: string
}

function addressOf(given: string): Address {
  let url: URL
  try {
    url = new URL(given.includes('://') ? given : `nats://${given}`)
  } catch {
    // The text itself may hold a password: it is not repeated.
    throw new BrokerError('invalid', 'a NATS server address must look like nats://host:4222')
  }
  const { username, password } = url
  return {
    server: `${url.protocol}//${url.host}`,
    ...(username ? { user: decodeURIComponent(username) } : {}),
    ...(password ? { password: decodeURIComponent(password) } : {}),
  }
}

/** What may pass by itself while a server is coming up: nobody listens yet, or its name is not known yet. */
const mayComeUp = (failed: BrokerError) => failed.next === 'later' || failed.code === 'unknown'

/**
 * The first connection: dials until a server is up, `waitMs` at most. The library's own waiting could not be ended.
 * Throws BrokerError 'unreachable', 'auth', 'invalid'; passwords are in none of their texts.
 */
export async function dial(options: DialOptions): Promise<NatsConnection> {
  const { name, tls, signal, waitMs = WAIT_MS } = options
  if (options.servers.length === 0)
    throw new BrokerError('invalid', 'no NATS server given: name at least one nats://host:4222')
  const addresses = options.servers.map(addressOf)
  const servers = addresses.map(a => a.server)
  const user = options.user ?? addresses.find(a => a.user !== undefined)?.user
  const password = options.password ?? addresses.find(a => a.password !== undefined)?.password
  const where = servers.join(', ')
  const end = performance.now() + waitMs

  /** Why it was not possible, in the words of whoever said more than nothing. */
  let reason = 'no answer'

  for (;;) {
    signal.throwIfAborted()
    let failed: BrokerError
    try {
      const dialled = connect({
        servers,
        name,
        ...(user === undefined ? {} : { user }),
        ...(password === undefined ? {} : { pass: password }),
        ...(tls === undefined ? {} : { tls }),
        timeout: Math.max(1, Math.min(DIAL_MS, end - performance.now())),
        maxReconnectAttempts: -1,
        reconnectTimeWait: REDIAL_MS,
        reconnectJitter: REDIAL_JITTER_MS,
        reconnectJitterTLS: REDIAL_JITTER_MS,
        pingInterval: PING_MS,
        maxPingOut: PINGS_UNANSWERED,
        // A stack trace per request costs more than the request.
        noAsyncTraces: true,
      })
      dialled.then(nc => (signal.aborted ? nc.close() : undefined)).catch(() => {})
      return await untilAborted(dialled, signal)
    } catch (e) {
      signal.throwIfAborted()
      failed = brokerError(e, `connect to NATS at ${where}`)
    }
    if (failed.code === 'auth') {
      const who = user === undefined ? 'without a user' : `as user '${user}'`
      throw new BrokerError(
        'auth',
        `NATS at ${where} refuses us ${who}: set the user and password of its configuration`,
      )
    }
    if (!mayComeUp(failed)) throw failed
    const words = failed.cause instanceof Error ? failed.cause.message : failed.message
    if (words !== 'TIMEOUT') reason = words
    if (performance.now() + REDIAL_MS >= end) {
      const facts = `waited ${waitMs / 1000} s; last: ${reason}`
      const message = `no NATS server answers at ${where} (${facts}): start nats-server or correct the address`
      throw new BrokerError('unreachable', message, { cause: failed })
    }
    await pause(REDIAL_MS + Math.random() * REDIAL_JITTER_MS, signal)
  }
}

import type { NatsError } from 'nats'

/** What went wrong between us and the broker, by what one does about it. */
export type BrokerErrorCode =
  /** No answer in time: it may have been done. Repeat with the same message id, or look. */
  | 'timeout'
  /** Nobody listens on the subject: for a stream's subject, the stream is absent or electing a leader. */
  | 'no-responders'
  /** The connection is down, could not be made, or broke while waiting: what was asked may have been done. */
  | 'unreachable'
  /** The server has too much to do just now (429, elections, an earlier copy still in flight). */
  | 'busy'
  /** Limits of the stream or of the server's store are reached. */
  | 'stream-full'
  /** This connection was closed for good. */
  | 'closed'
  /** User, password or certificate not accepted. */
  | 'auth'
  /** The server's certificate is not trusted, or one side wants TLS and the other does not speak it. */
  | 'tls'
  /** Known user, but not allowed to publish or subscribe there. */
  | 'permission'
  | 'too-old'
  | 'no-jetstream'
  /** Payload larger than the server's max_payload, or max_payload smaller than we need. */
  | 'max-payload'
  /** Bytes that are not what the message says they are. */
  | 'payload'
  /** A subject, key, name or option that cannot be. */
  | 'invalid'
  | 'not-found'
  /** Same name, other content: the first one counts. */
  | 'different'
  /** Stored bytes do not match their digest or size. */
  | 'corrupt'
  /** The stream takes nothing any more. */
  | 'sealed'
  /** The subject is kept by another stream than expected. */
  | 'other-stream'
  /** Compare-and-set: somebody else wrote first. */
  | 'wrong-revision'
  /** The stream was deleted and made again: what was read before says nothing about it. */
  | 'replaced'
  | 'unknown'

/** Whether the same call can succeed when repeated. */
export type BrokerNext = 'later' | 'never'

const LATER: ReadonlySet<BrokerErrorCode> = new Set([
  'timeout',
  'no-responders',
  'unreachable',
  'busy',
  'stream-full',
] satisfies BrokerErrorCode[])

/** Every error of this folder. `next` tells the move: 'later' may be repeated after `retryAfterMs`, 'never' may not. */
export class BrokerError extends Error {
  readonly code: BrokerErrorCode
  readonly next: BrokerNext
  /** Milliseconds to wait before the same call makes sense; 0 when the caller's own pace will do. */
  readonly retryAfterMs: number
  /** JetStream's own error number (`err_code`), where it gave one. */
  readonly number: number | undefined
  constructor(
    code: BrokerErrorCode,
    message: string,
    options: { next?: BrokerNext; retryAfterMs?: number; cause?: unknown; number?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'BrokerError'
    this.code = code
    this.next = options.next ?? (LATER.has(code) ? 'later' : 'never')
    this.retryAfterMs = options.retryAfterMs ?? 0
    this.number = options.number
  }
}

export function isBrokerError(e: unknown, code?: BrokerErrorCode): e is BrokerError {
  return e instanceof BrokerError && (code === undefined || e.code === code)
}

/** What JetStream's API puts in a response that failed. `err_code` is the stable number (nats-server server/errors.json). */
export interface ApiFailure {
  code: number
  err_code?: number
  description?: string
}

/** JetStream error numbers that mean something to us; everything else is told by its HTTP-like code. */
const BY_NUMBER: Readonly<Record<number, BrokerErrorCode>> = {
  10005: 'busy', // no suitable peers: servers of the cluster are still joining
  10008: 'busy', // cluster not available
  10009: 'busy', // cluster has no leader
  10013: 'invalid', // consumer name exists with another configuration
  10014: 'not-found', // consumer
  10023: 'busy', // insufficient resources
  10026: 'stream-full', // maximum consumers limit reached
  10037: 'not-found', // message
  10039: 'no-jetstream', // not enabled for the account
  10047: 'stream-full', // storage resources exceeded
  10053: 'max-payload', // message size exceeds the stream's maximum, 2.9
  10054: 'max-payload', // message size exceeds the stream's maximum
  10058: 'different', // stream exists with another configuration
  10059: 'not-found', // stream
  10060: 'other-stream', // expected stream does not match
  10071: 'wrong-revision', // wrong last sequence
  10074: 'invalid', // more than one replica without a cluster
  10076: 'no-jetstream', // not enabled
  10109: 'sealed',
  10158: 'busy', // a copy with this message id is in process
  10164: 'wrong-revision', // wrong last sequence, 2.12
  10167: 'busy', // too many requests
}

/** A server that asks for patience gets this much, milliseconds. */
const BUSY_MS = 100
/** Room is made by messages ageing out or being done: not in the next moment. */
const FULL_MS = 1_000

function codeOf(failure: ApiFailure): BrokerErrorCode {
  const number = failure.err_code ?? 0
  // One number for every refusal of the store; only its text tells them apart.
  if (number === 10077) return failure.description?.includes('per subject') ? 'different' : 'stream-full'
  const code = BY_NUMBER[number]
  if (code !== undefined) return code
  if (failure.code === 404) return 'not-found'
  if (failure.code === 408) return 'timeout'
  return failure.code === 429 || failure.code === 503 ? 'busy' : 'unknown'
}

/** A failed JetStream API response as our error. */
export function apiError(failure: ApiFailure, doing: string): BrokerError {
  const code = codeOf(failure)
  const number = failure.err_code
  const text = failure.description ?? 'no description'
  return new BrokerError(code, `${doing}: ${text}${number === undefined ? '' : ` (JetStream error ${number})`}`, {
    ...(number === undefined ? {} : { number }),
    retryAfterMs: code === 'busy' ? BUSY_MS : code === 'stream-full' ? FULL_MS : 0,
  })
}

/** Codes of the library and of node's sockets. */
const BY_CODE: Readonly<Record<string, BrokerErrorCode>> = {
  '503': 'no-responders',
  '404': 'not-found',
  TIMEOUT: 'timeout',
  CONNECTION_TIMEOUT: 'unreachable',
  CONNECTION_REFUSED: 'unreachable',
  DISCONNECT: 'unreachable',
  ECONNREFUSED: 'unreachable',
  ECONNRESET: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  ENOTFOUND: 'unreachable',
  EAI_AGAIN: 'unreachable',
  ETIMEDOUT: 'unreachable',
  CONNECTION_CLOSED: 'closed',
  CONNECTION_DRAINING: 'closed',
  SUB_CLOSED: 'closed',
  AUTHORIZATION_VIOLATION: 'auth',
  AUTHENTICATION_EXPIRED: 'auth',
  AUTHENTICATION_TIMEOUT: 'auth',
  ACCOUNT_EXPIRED: 'auth',
  BAD_AUTHENTICATION: 'auth',
  BAD_CREDS: 'auth',
  TLS: 'tls',
  SERVER_OPT_NA: 'tls', // the one thing we may ask for that a server can lack
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls',
  CERT_HAS_EXPIRED: 'tls',
  ERR_TLS_CERT_ALTNAME_INVALID: 'tls',
  PERMISSIONS_VIOLATION: 'permission',
  MAX_PAYLOAD_EXCEEDED: 'max-payload',
  BAD_SUBJECT: 'invalid',
  INVALID_OPTION: 'invalid',
}

const SAID: Partial<Record<BrokerErrorCode, string>> = {
  timeout: 'the broker did not answer in time',
  'no-responders': 'nobody answers there (no such stream or service, or it is electing a leader)',
  unreachable: 'the broker cannot be reached',
  closed: 'the connection to the broker is closed',
  auth: 'the broker does not accept this user and password',
  tls: 'TLS is asked for on one side only, or its certificate is not trusted',
  'max-payload': "larger than the broker's max_payload",
}

/**
 * Any error of the library, as ours. The one place that knows the library's codes.
 * @param doing what was being done, for the sentence: 'claim 17 of CLAIMS_900_0'
 */
export function brokerError(e: unknown, doing: string): BrokerError {
  if (e instanceof BrokerError) return e
  if (!(e instanceof Error)) return new BrokerError('unknown', `${doing}: ${String(e)}`, { cause: e })
  const failure = (e as NatsError).api_error
  if (failure !== undefined) return apiError(failure, doing)
  const code = 'code' in e && typeof e.code === 'string' ? BY_CODE[e.code] : undefined
  if (code === undefined) return new BrokerError('unknown', `${doing}: ${e.message}`, { cause: e })
  const facts = SAID[code] ?? e.message
  return new BrokerError(code, `${doing}: ${facts}`, { cause: e })
}

import { BucketError, type BucketNext } from './bucket.js'

/** What was asked when it failed. */
export interface FailedRequest {
  /** For people: what was tried. */
  doing: string
  /** Does the request change something in the store? Then a lost answer leaves its outcome unknown. */
  changes: boolean
  /** Did our own time limit end it? Milliseconds of the limit, or undefined. */
  timedOutMs?: number
}

/** Wait asked for when the store does not say how long, ms. */
const THROTTLED_RETRY_MS = 2_000

/** Our code and the next move for the S3 error codes that need their own. Everything else goes by HTTP status. */
const BY_NAME: Record<string, [code: string, next: BucketNext]> = {
  AccessDenied: ['access-denied', 'never'],
  AccountProblem: ['access-denied', 'never'],
  AuthorizationHeaderMalformed: ['wrong-region', 'never'],
  BadDigest: ['bad-digest', 'later'],
  ConditionalRequestConflict: ['conflict', 'later'],
  EntityTooLarge: ['entity-too-large', 'never'],
  EntityTooSmall: ['entity-too-small', 'never'],
  ExpiredToken: ['access-denied', 'never'],
  IncompleteBody: ['connection', 'later'],
  InvalidAccessKeyId: ['access-denied', 'never'],
  InvalidDigest: ['bad-digest', 'later'],
  InvalidPart: ['invalid-part', 'never'],
  InvalidPartOrder: ['invalid-part', 'never'],
  InvalidRange: ['invalid-range', 'never'],
  KeyTooLongError: ['invalid-key', 'never'],
  NoSuchBucket: ['no-such-bucket', 'never'],
  NoSuchKey: ['no-such-key', 'never'],
  NoSuchUpload: ['no-such-upload', 'never'],
  NotImplemented: ['not-implemented', 'never'],
  OperationAborted: ['conflict', 'later'],
  PermanentRedirect: ['wrong-region', 'never'],
  PreconditionFailed: ['precondition', 'never'],
  RequestLimitExceeded: ['throttled', 'later'],
  // The SDK learns the store's clock from this answer: the next request is signed with it.
  RequestTimeTooSkewed: ['clock-skew', 'later'],
  // The store waited for the rest of our request: it has not carried it out.
  RequestTimeout: ['timeout', 'later'],
  ServiceUnavailable: ['throttled', 'later'],
  SignatureDoesNotMatch: ['access-denied', 'never'],
  SlowDown: ['throttled', 'later'],
  ThrottlingException: ['throttled', 'later'],
  TooManyRequests: ['throttled', 'later'],
}

/** Errors of Node that say no connection came to be: nothing was sent. */
const NOT_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL'])

/** Errors of Node that no repetition mends: the other side is not what the endpoint says. */
const NOT_TLS = /^(CERT_|ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO$|ERR_INVALID_URL$)/

/** The advice that goes with a code. */
const ADVICE: Record<string, string> = {
  'access-denied': 'check the key pair and what it is allowed to do',
  'no-such-bucket': 'check the name of the bucket and the endpoint',
  'wrong-region': 'check bucket.region',
  'clock-skew': "this host's clock differs from the store's",
}

/**
 * What the SDK threw, as a BucketError. The SDK's error is not kept as the cause: it can hold the access key and the
 * string to be signed; a plain error with its name, message, status and request id stands in for it.
 */
export function s3Error(thrown: unknown, request: FailedRequest): BucketError {
  if (thrown instanceof BucketError) return thrown
  const error = (thrown ?? {}) as SdkError
  const status = error.$metadata?.httpStatusCode
  const lost: BucketNext = request.changes ? 'unknown' : 'later'
  const say = (code: string, why: string, next: BucketNext, retryAfterMs = 0) => {
    const advice = ADVICE[code] ? `: ${ADVICE[code]}` : ''
    return new BucketError(code, `${request.doing}: ${why}${advice}`, next, { retryAfterMs, cause: plainCause(error) })
  }

  if (request.timedOutMs !== undefined) return say('timeout', `no answer within ${request.timedOutMs} ms`, lost)
  if (status === undefined || error.code !== undefined) return connectionError(error, lost, say)

  // A HEAD's answer has no body: the SDK then makes up a name.
  const named = error.name !== undefined && !['Error', 'Unknown', 'UnknownError', 'NotFound'].includes(error.name)
  const name = named ? String(error.name) : `HTTP ${status}`
  const known = BY_NAME[name]
  if (known) return say(known[0], name, known[1], known[0] === 'throttled' ? retryAfterMs(error) : 0)
  if (status === 429 || status === 503) return say('throttled', name, 'later', retryAfterMs(error))
  // A gateway's 500, 502 or 504 says nothing about what the store behind it has done.
  if (status >= 500) return say('server', name, lost)
  if (status === 401 || status === 403) return say('access-denied', name, 'never')
  if (status === 404) return say('no-such-key', name, 'never')
  if (status === 409) return say('conflict', name, 'later')
  if (status === 412) return say('precondition', name, 'never')
  if (status === 416) return say('invalid-range', name, 'never')
  if (status >= 300) return say(status < 400 ? 'wrong-region' : 'bad-request', `${name} (${status})`, 'never')
  // A good status with a body that is none of S3: some proxy answered, or the connection broke off in the middle.
  return say('bad-answer', `${status} with a body that cannot be read`, lost)
}

interface SdkError {
  name?: string
  message?: string
  code?: string
  syscall?: string
  $metadata?: { httpStatusCode?: number; requestId?: string }
  $response?: { headers?: Record<string, string> }
}

function connectionError(
  error: SdkError,
  lost: BucketNext,
  say: (code: string, why: string, next: BucketNext) => BucketError,
): BucketError {
  const code = error.code ?? error.name ?? 'unknown'
  if (NOT_TLS.test(code))
    return say('connection', `no S3 server with a valid certificate answers there (${code})`, 'never')
  if (NOT_SENT.has(code) || error.syscall === 'connect') return say('connection', `no connection (${code})`, 'later')
  // The SDK's own limit for making a connection.
  if (error.name === 'TimeoutError') return say('timeout', 'no connection in time', 'later')
  return say('connection', `the connection broke (${code})`, lost)
}

function retryAfterMs(error: SdkError): number {
  const seconds = Number(error.$response?.headers?.['retry-after'])
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : THROTTLED_RETRY_MS
}

function plainCause(error: SdkError): Error {
  const { httpStatusCode = 'none', requestId = 'none' } = error.$metadata ?? {}
  // Only the first line: the SDK adds hints about its own hidden fields.
  const message = String(error.message ?? error).split('\n')[0]
  const cause = new Error(`${error.name ?? 'Error'}: ${message} (status ${httpStatusCode}, request ${requestId})`)
  delete cause.stack
  return cause
}

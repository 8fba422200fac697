import { inspect } from 'node:util'
import t from 'tap'
import { s3Error } from '../../src/bucket/s3-errors.js'

/** An error as the SDK throws it. */
function sdk(name: string, status: number | undefined, more: object = {}): Error {
  return Object.assign(new Error('from the store'), {
    name,
    $metadata: { httpStatusCode: status, requestId: 'R1' },
    ...more,
  })
}
const node = (code: string, syscall?: string) => Object.assign(new Error(code), { code, syscall, $metadata: {} })

await t.test('every error of a store or a connection has a code and a next move', async t => {
  // What comes next for a request that only reads, and for one that changes something.
  const cases: [error: Error, code: string, reading: string, changing: string][] = [
    [sdk('NoSuchBucket', 404), 'no-such-bucket', 'never', 'never'],
    [sdk('NoSuchKey', 404), 'no-such-key', 'never', 'never'],
    [sdk('NotFound', 404), 'no-such-key', 'never', 'never'],
    [sdk('NoSuchUpload', 404), 'no-such-upload', 'never', 'never'],
    [sdk('AccessDenied', 403), 'access-denied', 'never', 'never'],
    [sdk('SignatureDoesNotMatch', 403), 'access-denied', 'never', 'never'],
    [sdk('InvalidAccessKeyId', 403), 'access-denied', 'never', 'never'],
    [sdk('Unknown', 403), 'access-denied', 'never', 'never'],
    [sdk('Unauthorized', 401), 'access-denied', 'never', 'never'],
    [sdk('RequestTimeTooSkewed', 403), 'clock-skew', 'later', 'later'],
    [sdk('AuthorizationHeaderMalformed', 400), 'wrong-region', 'never', 'never'],
    [sdk('PermanentRedirect', 301), 'wrong-region', 'never', 'never'],
    [sdk('EntityTooSmall', 400), 'entity-too-small', 'never', 'never'],
    [sdk('EntityTooLarge', 400), 'entity-too-large', 'never', 'never'],
    [sdk('InvalidPart', 400), 'invalid-part', 'never', 'never'],
    [sdk('InvalidPartOrder', 400), 'invalid-part', 'never', 'never'],
    [sdk('InvalidRange', 416), 'invalid-range', 'never', 'never'],
    [sdk('PreconditionFailed', 412), 'precondition', 'never', 'never'],
    [sdk('Anything', 400), 'bad-request', 'never', 'never'],
    [sdk('NotImplemented', 501), 'not-implemented', 'never', 'never'],
    [sdk('BadDigest', 400), 'bad-digest', 'later', 'later'],
    [sdk('IncompleteBody', 400), 'connection', 'later', 'later'],
    [sdk('RequestTimeout', 400), 'timeout', 'later', 'later'],
    [sdk('OperationAborted', 409), 'conflict', 'later', 'later'],
    [sdk('SlowDown', 503), 'throttled', 'later', 'later'],
    [sdk('Error', 503), 'throttled', 'later', 'later'],
    [sdk('TooManyRequests', 429), 'throttled', 'later', 'later'],
    [sdk('InternalError', 500), 'server', 'later', 'unknown'],
    [sdk('InternalError', 200), 'bad-answer', 'later', 'unknown'],
    [sdk('Error', 502), 'server', 'later', 'unknown'],
    [sdk('Error', 504), 'server', 'later', 'unknown'],
    [sdk('Error', 200), 'bad-answer', 'later', 'unknown'],
    [node('ECONNREFUSED', 'connect'), 'connection', 'later', 'later'],
    [node('ENOTFOUND', 'getaddrinfo'), 'connection', 'later', 'later'],
    [node('EAI_AGAIN', 'getaddrinfo'), 'connection', 'later', 'later'],
    [node('ETIMEDOUT', 'connect'), 'connection', 'later', 'later'],
    [node('ECONNRESET', 'read'), 'connection', 'later', 'unknown'],
    [node('EPIPE', 'write'), 'connection', 'later', 'unknown'],
    [sdk('TimeoutError', undefined), 'timeout', 'later', 'later'],
    [node('SELF_SIGNED_CERT_IN_CHAIN'), 'connection', 'never', 'never'],
    [node('CERT_HAS_EXPIRED'), 'connection', 'never', 'never'],
    [node('EPROTO', 'write'), 'connection', 'never', 'never'],
    [new Error('something nobody has seen'), 'connection', 'later', 'unknown'],
  ]
  for (const [error, code, reading, changing] of cases) {
    const title = `${error.name} ${(error as { code?: string }).code ?? ''}`
    t.match(s3Error(error, { doing: 'PUT a', changes: false }), { code, next: reading, message: /^PUT a: / }, title)
    t.match(s3Error(error, { doing: 'PUT a', changes: true }), { code, next: changing }, title)
  }
})

await t.test('a request that ran into our own limit may have been carried out when it changes something', async t => {
  const ended = sdk('AbortError', undefined)
  t.match(s3Error(ended, { doing: 'GET a', changes: false, timedOutMs: 50 }), {
    code: 'timeout',
    next: 'later',
    message: /50 ms/,
  })
  t.match(s3Error(ended, { doing: 'PUT a', changes: true, timedOutMs: 50 }), { code: 'timeout', next: 'unknown' })
})

await t.test('a store that says when to come back is believed', async t => {
  const after = (value: string) => sdk('SlowDown', 503, { $response: { headers: { 'retry-after': value } } })
  const request = { doing: 'PUT a', changes: true }
  t.equal(s3Error(after('7'), request).retryAfterMs, 7_000)
  t.equal(s3Error(after('soon'), request).retryAfterMs, 2_000)
  t.equal(s3Error(sdk('SlowDown', 503), request).retryAfterMs, 2_000)
})

await t.test('nothing of what was signed is kept', async t => {
  const error = sdk('SignatureDoesNotMatch', 403, {
    AWSAccessKeyId: 'AKIASECRET',
    StringToSign: 'AWS4-HMAC-SHA256 secret',
    $response: { headers: { authorization: 'secret' } },
  })
  const shown = inspect(s3Error(error, { doing: 'PUT a', changes: true }), { depth: 10, showHidden: true })
  t.notMatch(shown, /AKIASECRET|AWS4-HMAC|authorization/)
  t.match(shown, /status 403, request R1/)
})

import { NatsError } from 'nats'
import t from 'tap'
import { apiError } from '../../nats/errors.js'
import { BrokerError, brokerError, isBrokerError } from '../../nats/index.js'

/** An error of the library that carries what JetStream's API answered. */
function refused(code: number, err_code: number, description: string): NatsError {
  const error = new NatsError('refused', String(code))
  error.api_error = { code, err_code, description }
  return error
}

await t.test('an error tells what it is and whether to try again', async t => {
  const cases: [unknown, string, 'later' | 'never'][] = [
    [new NatsError('TIMEOUT', 'TIMEOUT'), 'timeout', 'later'],
    [new NatsError('503', '503'), 'no-responders', 'later'],
    [new NatsError('CONNECTION_REFUSED', 'CONNECTION_REFUSED'), 'unreachable', 'later'],
    [new NatsError('CONNECTION_CLOSED', 'CONNECTION_CLOSED'), 'closed', 'never'],
    [new NatsError("'Authorization Violation'", 'AUTHORIZATION_VIOLATION'), 'auth', 'never'],
    [new NatsError('Permissions Violation for Publish to "x"', 'PERMISSIONS_VIOLATION'), 'permission', 'never'],
    [new NatsError('MAX_PAYLOAD_EXCEEDED', 'MAX_PAYLOAD_EXCEEDED'), 'max-payload', 'never'],
    [refused(404, 10059, 'stream not found'), 'not-found', 'never'],
    [refused(503, 10077, 'maximum messages exceeded'), 'stream-full', 'later'],
    [refused(503, 10077, 'maximum bytes exceeded'), 'stream-full', 'later'],
    [refused(503, 10077, 'maximum messages per subject exceeded'), 'different', 'never'],
    [refused(400, 10109, 'invalid operation on sealed stream'), 'sealed', 'never'],
    [refused(400, 10060, 'expected stream does not match'), 'other-stream', 'never'],
    [refused(400, 10071, 'wrong last sequence: 3'), 'wrong-revision', 'never'],
    [refused(400, 10158, 'duplicate message id is in process'), 'busy', 'later'],
    [refused(429, 10167, 'too many requests'), 'busy', 'later'],
    [refused(503, 10009, 'JetStream cluster has no leader'), 'busy', 'later'],
    [refused(503, 99999, 'something new'), 'busy', 'later'],
    [refused(400, 99998, 'something else new'), 'unknown', 'never'],
    [Object.assign(new Error('getaddrinfo ENOTFOUND nats'), { code: 'ENOTFOUND' }), 'unreachable', 'later'],
    [new TypeError('a mistake of ours'), 'unknown', 'never'],
    ['a text', 'unknown', 'never'],
  ]
  for (const [given, code, next] of cases) {
    const error = brokerError(given, 'try')
    t.match(error, { code, next }, `${String(given)} → ${code}`)
    t.match(error.message, /^try: /)
  }
})

await t.test('an error of ours stays itself', async t => {
  const ours = new BrokerError('sealed', 'closed')
  t.equal(brokerError(ours, 'try'), ours)
})

await t.test('the cause and the number of JetStream are kept', async t => {
  const cause = new NatsError('TIMEOUT', 'TIMEOUT')
  t.equal(brokerError(cause, 'try').cause, cause)
  t.equal(apiError({ code: 404, err_code: 10037, description: 'no message found' }, 'read').number, 10037)
})

await t.test('a busy broker says how long to wait', async t => {
  t.ok(apiError({ code: 429, err_code: 10167 }, 'put').retryAfterMs > 0)
  t.equal(new BrokerError('timeout', 'late').retryAfterMs, 0)
})

await t.test('errors are recognised by code', async t => {
  t.equal(isBrokerError(new BrokerError('busy', 'x'), 'busy'), true)
  t.equal(isBrokerError(new BrokerError('busy', 'x'), 'sealed'), false)
  t.equal(isBrokerError(new BrokerError('busy', 'x')), true)
  t.equal(isBrokerError(new Error('x')), false)
})

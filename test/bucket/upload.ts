import { randomBytes } from 'node:crypto'
import t from 'tap'
import type { Bucket, ObjectFacts } from '../../src/bucket/bucket.js'
import { multipartEtag, singleEtag } from '../../src/bucket/expected.js'
import { MIN_PART_BYTES } from '../../src/bucket/parts.js'
import { openS3Bucket } from '../../src/bucket/s3.js'
import {
  cleanUploads,
  completeUpload,
  missingParts,
  type RetryBounds,
  sendPart,
  verifyObject,
  withdrawUpload,
  withRetry,
} from '../../src/bucket/upload.js'
import { type Fault, type Passing, startProxy } from '../helpers/http-proxy.js'
import { startS3 } from '../helpers/s3-server.js'

// Real processes and disks: on a busy machine they take their time.
t.setTimeout(120_000)

const never = new AbortController().signal
/** Long enough for any request of the table on a busy machine, short enough that a lost answer costs little. */
const ANSWER_MS = 1_000
/** For the test's own looks at the server, which nobody repeats. */
const PATIENT_MS = 20_000
const server = await startS3()
t.teardown(() => server.stop())
const direct = openS3Bucket({ ...options(server.endpoint), requestTimeoutMs: PATIENT_MS })
t.teardown(() => direct.close())

const PARTS = [randomBytes(MIN_PART_BYTES), randomBytes(1_000)] as const
const WHOLE = Buffer.concat(PARTS)
const EXPECTED = { bytes: WHOLE.length, etag: multipartEtag(PARTS.map(singleEtag)) }
const PASS: Fault = { kind: 'pass' }
const SLOW_DOWN = '<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'

function options(endpoint: string) {
  const { bucket, accessKeyId, secretAccessKey } = server
  return { endpoint, bucket, accessKeyId, secretAccessKey, requestTimeoutMs: ANSWER_MS }
}

/** A minute of real time; waits between attempts are not waited for. */
function bounds(ms = 60_000): RetryBounds {
  return { deadlineMs: Date.now() + ms, now: Date.now, random: () => 0.5, signal: never, wait: async () => {} }
}

/** The whole way of a window's file, as the uploader goes it. */
async function upload(bucket: Bucket, key: string): Promise<void> {
  const { uploadId } = await withRetry(signal => bucket.openUpload(key, signal), bounds())
  const sent = []
  for (const [i, body] of PARTS.entries()) sent.push(await sendPart(bucket, key, uploadId, i + 1, body, bounds()))
  await completeUpload(bucket, key, uploadId, sent, EXPECTED, bounds())
  await cleanUploads(bucket, key, () => false, bounds())
}

/** Requests of this sort meet these faults, one after the other; everything else passes. */
function faults(what: string, ...list: Fault[]): (request: Passing) => Fault {
  const left = [...list]
  return request => (request.what === what ? (left.shift() ?? PASS) : PASS)
}

await t.test('whatever the link and the store do, an upload ends as one whole object', async t => {
  const cases: [title: string, choose: (request: Passing) => Fault][] = [
    ['nothing goes wrong', () => PASS],
    ['every sort of request is answered by 500 once', once({ kind: 'answer', status: 500 })],
    [
      'every sort of request is answered by a page of HTML',
      once({ kind: 'answer', status: 200, body: '<html>welcome</html>' }),
    ],
    ['parts are answered by 500 five times', faults('part', ...Array(5).fill({ kind: 'answer', status: 500 }))],
    ['the store asks to slow down', once({ kind: 'answer', status: 503, body: SLOW_DOWN })],
    [
      'a gateway says 502 and 504',
      faults('complete', { kind: 'answer', status: 502 }, { kind: 'answer', status: 504 }),
    ],
    ['the connection is reset before every sort of request', once({ kind: 'reset' })],
    ['the connection is reset after every sort of request was carried out', once({ kind: 'reset-after' })],
    ['the answer to a part is lost', faults('part', { kind: 'hang-after' })],
    ['the answer to Complete is lost', faults('complete', { kind: 'hang-after' })],
    ['the answer to Complete is lost, and the first look too', lostCompleteAndLook()],
    ['Complete is carried out and a gateway says 500', faults('complete', { kind: 'answer-after', status: 500 })],
    ['Complete is carried out and its answer is empty', faults('complete', { kind: 'answer-after', status: 200 })],
    ['the answer to opening is lost', faults('open', { kind: 'hang-after' })],
    ['the link is slow', faults('part', { kind: 'slow', bytes: 64 * 1024 })],
  ]
  for (const [i, [title, choose]] of cases.entries()) {
    const key = `faults/${i}`
    const proxy = await startProxy(server.endpoint, choose)
    const bucket = openS3Bucket(options(proxy.endpoint))
    await upload(bucket, key)
    const facts = await direct.head(key, never)
    t.equal(verifyObject(facts, { ...EXPECTED, deadlineMs: Date.now() }), 'ok', title)
    t.ok(WHOLE.equals(await direct.get(key, never)), `${title}: every byte`)
    t.same(await direct.listUploads(key, never), [], `${title}: nothing is left open`)
    bucket.close()
    await proxy.close()
  }
})

await t.test('a Complete whose answer was lost is not sent again when HEAD shows that it won', async t => {
  const proxy = await startProxy(server.endpoint, faults('complete', { kind: 'hang-after' }))
  const bucket = openS3Bucket(options(proxy.endpoint))
  await upload(bucket, 'won/a')
  t.equal(proxy.seen.filter(what => what === 'complete').length, 1)
  t.equal(proxy.seen.filter(what => what === 'head').length, 1)
  bucket.close()
  await proxy.close()
})

await t.test('after a crash between Complete and its event, Complete is found done', async t => {
  const key = 'crash/a'
  const { uploadId } = await direct.openUpload(key, never)
  const part = await sendPart(direct, key, uploadId, 1, PARTS[1], bounds())
  const expected = { bytes: 1_000, etag: multipartEtag([part.etag]) }
  await completeUpload(direct, key, uploadId, [part], expected, bounds())
  await completeUpload(direct, key, uploadId, [part], expected, bounds())
  t.equal((await direct.head(key, never))?.etag, expected.etag)
})

await t.test('an upload that is gone without its object is told, not repeated', async t => {
  const key = 'gone/a'
  await direct.put(key, Buffer.from('the object of another epoch'), never)
  const { uploadId } = await direct.openUpload(key, never)
  const part = await direct.putPart(key, uploadId, 1, PARTS[1], never)
  await direct.abort(key, uploadId, never)
  const done = completeUpload(
    direct,
    key,
    uploadId,
    [part],
    { bytes: 1_000, etag: multipartEtag([part.etag]) },
    bounds(),
  )
  await t.rejects(done, { code: 'no-such-upload', next: 'never' })
})

await t.test('a store that completes something else is not believed', async t => {
  const key = 'else/a'
  const { uploadId } = await direct.openUpload(key, never)
  const part = await direct.putPart(key, uploadId, 1, PARTS[1], never)
  await t.rejects(completeUpload(direct, key, uploadId, [part], EXPECTED, bounds()), {
    code: 'precondition',
    next: 'never',
  })
})

await t.test('a store that never comes back costs no more than the time there is', async t => {
  const proxy = await startProxy(server.endpoint, request => (request.what === 'complete' ? { kind: 'hang' } : PASS))
  const bucket = openS3Bucket(options(proxy.endpoint))
  const key = 'late/a'
  const { uploadId } = await bucket.openUpload(key, never)
  const part = await bucket.putPart(key, uploadId, 1, PARTS[1], never)
  const expected = { bytes: 1_000, etag: multipartEtag([part.etag]) }
  const error = await completeUpload(bucket, key, uploadId, [part], expected, bounds(400)).catch(error => error)
  t.match(error, { code: 'deadline', next: 'unknown' })
  await withdrawUpload(bucket, key, uploadId, expected, bounds())
  t.equal(await direct.head(key, never), undefined, 'there is no object')
  t.same(await direct.listUploads(key, never), [], 'and nothing open')
  bucket.close()
  await proxy.close()
})

await t.test(
  'a window is withdrawn with the object a lost Complete has made, and without one of somebody else',
  async t => {
    const key = 'withdraw/a'
    const { uploadId } = await direct.openUpload(key, never)
    const part = await direct.putPart(key, uploadId, 1, PARTS[1], never)
    const expected = { bytes: 1_000, etag: multipartEtag([part.etag]) }
    await direct.complete(key, uploadId, [part], never)
    await withdrawUpload(direct, key, uploadId, expected, bounds())
    t.equal(await direct.head(key, never), undefined)
    await direct.put(key, Buffer.from('of another epoch'), never)
    await withdrawUpload(direct, key, uploadId, expected, bounds())
    t.equal((await direct.head(key, never))?.bytes, 16)
  },
)

await t.test('dangling uploads are aborted, those that are wanted are kept', async t => {
  const one = await direct.openUpload('dangling/a', never)
  const two = await direct.openUpload('dangling/a', never)
  const three = await direct.openUpload('dangling/b', never)
  const aborted = await cleanUploads(direct, 'dangling/a', ({ uploadId }) => uploadId === two.uploadId, bounds())
  t.same(
    aborted.map(upload => upload.uploadId),
    [one.uploadId],
  )
  const left = await direct.listUploads('dangling/', never)
  t.same(new Set(left.map(upload => upload.uploadId)), new Set([two.uploadId, three.uploadId]))
})

await t.test('HEAD is compared as a validator would', async t => {
  const facts: ObjectFacts = { key: 'a', bytes: 10, etag: 'e', lastModifiedMs: 5_000, metadata: {} }
  const expected = { bytes: 10, etag: 'e', deadlineMs: 5_000 }
  const cases: [title: string, facts: ObjectFacts | undefined, verdict: 'ok' | RegExp[]][] = [
    ['at the deadline', facts, 'ok'],
    ['a second late', { ...facts, lastModifiedMs: 6_000 }, [/1\.000 s late/]],
    ['cut off', { ...facts, bytes: 9 }, [/9 bytes instead of 10/]],
    ['another object', { ...facts, etag: 'x' }, [/etag is x instead of e/]],
    ['all wrong', { ...facts, bytes: 1, etag: 'x', lastModifiedMs: 9_000 }, [/bytes/, /etag/, /late/]],
    ['nothing', undefined, [/no object/]],
  ]
  for (const [title, facts, verdict] of cases) t.match(verifyObject(facts, expected), verdict, title)
})

await t.test('after a crash only missing parts are sent', async t => {
  const planned = [1, 2, 3].map(number => ({ number, bytes: 10, md5: `m${number}` }))
  const stored = (number: number, etag = `m${number}`, bytes = 10) => ({ number, etag, bytes })
  t.same(missingParts(planned, []), [1, 2, 3])
  t.same(missingParts(planned, [stored(1), stored(3)]), [2])
  t.same(missingParts(planned, [stored(1), stored(2, 'other'), stored(3, 'm3', 9)]), [2, 3])
  t.same(
    missingParts(
      planned,
      planned.map(({ number }) => stored(number)),
    ),
    [],
  )
})

/** Every sort of request meets the fault the first time it is made. */
function once(fault: Fault): (request: Passing) => Fault {
  const met = new Set<string>()
  return ({ what }) => {
    if (met.has(what)) return PASS
    met.add(what)
    return fault
  }
}

function lostCompleteAndLook(): (request: Passing) => Fault {
  const complete = faults('complete', { kind: 'hang-after' })
  const head = faults('head', { kind: 'reset' })
  return request => (request.what === 'head' ? head(request) : complete(request))
}

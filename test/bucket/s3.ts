import { getEventListeners, once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { inspect } from 'node:util'
import t from 'tap'
import { BucketError } from '../../src/bucket/bucket.js'
import { withRetry } from '../../src/bucket/retry.js'
import { openS3Bucket } from '../../src/bucket/s3.js'
import { startProxy } from '../helpers/http-proxy.js'
import { startS3 } from '../helpers/s3-server.js'

// Real processes and disks: on a busy machine they take their time.
t.setTimeout(120_000)

const never = new AbortController().signal
const body = Buffer.alloc(100_000, 7)
const server = await startS3()
t.teardown(() => server.stop())
const { endpoint, bucket: name, accessKeyId, secretAccessKey } = server
const options = { endpoint, bucket: name, accessKeyId, secretAccessKey }

await t.test('nothing that is shown of a bucket has the key pair in it', async t => {
  const bucket = openS3Bucket({ ...options, endpoint: `${endpoint}/` })
  t.equal(bucket.place, `${endpoint}/${name}`)
  for (const shown of [inspect(bucket, { depth: 20, showHidden: true }), JSON.stringify(bucket), String(bucket)]) {
    t.notMatch(shown, secretAccessKey)
    t.notMatch(shown, accessKeyId)
  }
  bucket.close()
})

await t.test("making a client says nothing about Node's age, and leaves other warnings alone", async t => {
  const warnings: string[] = []
  const listen = (warning: Error) => warnings.push(warning.message)
  process.on('warning', listen)
  openS3Bucket(options).close()
  process.emitWarning('another warning')
  await once(process, 'warning')
  process.off('warning', listen)
  t.same(warnings, ['another warning'])
})

await t.test('wrong options are refused before anything is sent, without their values', async t => {
  const cases: [wrong: Record<string, unknown>, says: RegExp][] = [
    [{ endpoint: 'localhost:9000' }, /URL with http/],
    [{ endpoint: 'ftp://host' }, /URL with http/],
    [{ endpoint: 'http://me:hunter2@host' }, /user name or password/],
    [{ bucket: '' }, /needs a name/],
    [{ secretAccessKey: '' }, /needs a secret/],
    [{ requestTimeoutMs: 0 }, /requestTimeoutMs/],
    [{ secret: 'hunter2' }, /secret/],
  ]
  for (const [wrong, says] of cases) {
    try {
      openS3Bucket({ ...options, ...wrong })
      t.fail(`${Object.keys(wrong)} was taken`)
    } catch (error) {
      t.match(String(error), says)
      t.notMatch(String(error), /hunter2/)
    }
  }
})

await t.test('a server that takes a request and says nothing is a timeout', async t => {
  const mute = createServer(() => {})
  mute.listen(0, '127.0.0.1')
  await once(mute, 'listening')
  const bucket = openS3Bucket({ ...options, endpoint: urlOf(mute.address()), requestTimeoutMs: 60 })
  await t.rejects(bucket.put('a', body, never), { code: 'timeout', next: 'unknown', message: /PUT a at http.* 60 ms/ })
  await t.rejects(bucket.head('a', never), { code: 'timeout', next: 'later' })
  await t.rejects(bucket.get('a', never), { code: 'timeout', next: 'later' })
  bucket.close()
  mute.closeAllConnections()
  mute.close()
})

await t.test('a body that stalls in the middle is ended by the limit, or by the caller', async t => {
  const stalling = createServer((_, answer) => {
    answer.writeHead(200, { 'content-length': '100', etag: '"e"', 'last-modified': new Date(0).toUTCString() })
    answer.write('half')
  })
  stalling.listen(0, '127.0.0.1')
  await once(stalling, 'listening')
  const bucket = openS3Bucket({ ...options, endpoint: urlOf(stalling.address()), requestTimeoutMs: 100 })
  await t.rejects(bucket.get('a', never), { code: 'timeout', next: 'later' })
  bucket.close()
  const patient = openS3Bucket({ ...options, endpoint: urlOf(stalling.address()) })
  const over = new AbortController()
  const reason = new Error('the window is over')
  stalling.once('request', () => setImmediate(() => over.abort(reason)))
  await t.rejects(patient.get('a', over.signal), reason)
  patient.close()
  stalling.closeAllConnections()
  stalling.close()
})

await t.test('where nobody listens, nothing was sent', async t => {
  const gone = createTcpServer().listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const url = urlOf(gone.address())
  gone.close()
  await once(gone, 'close')
  const bucket = openS3Bucket({ ...options, endpoint: url })
  await t.rejects(bucket.put('a', body, never), { code: 'connection', next: 'later', message: /ECONNREFUSED/ })
  bucket.close()
})

await t.test('a server that is none of S3 is told as such', async t => {
  const strange = createTcpServer(socket => socket.on('error', () => {}).end('220 mail.example ESMTP\r\n')).listen(
    0,
    '127.0.0.1',
  )
  await once(strange, 'listening')
  const plain = openS3Bucket({ ...options, endpoint: urlOf(strange.address()) })
  await t.rejects(plain.head('a', never), { code: 'connection', next: 'later' })
  const secure = openS3Bucket({ ...options, endpoint: urlOf(strange.address()).replace('http', 'https') })
  await t.rejects(secure.head('a', never), { code: 'connection' })
  plain.close()
  secure.close()
  strange.close()
})

await t.test('an answer that is cut off is not taken for the object', async t => {
  const proxy = await startProxy(endpoint, ({ what, nth }) =>
    what === 'get' && nth < 2 ? { kind: 'cut', bytes: 10 } : { kind: 'pass' },
  )
  const bucket = openS3Bucket({ ...options, endpoint: proxy.endpoint })
  await bucket.put('cut/a', body, never)
  await t.rejects(bucket.get('cut/a', never), { code: 'connection', next: 'later' })
  t.same(await bucket.get('cut/a', never), body, 'and is there at the second try')
  bucket.close()
  await proxy.close()
})

await t.test('nothing stays behind on a signal that lives as long as the process', async t => {
  const bucket = openS3Bucket(options)
  const long = new AbortController().signal
  await bucket.put('signal/a', body, long)
  await bucket.get('signal/a', long)
  await bucket.head('signal/none', long)
  await bucket.get('signal/none', long).catch(() => {})
  await withRetry(signal => bucket.head('signal/a', signal), {
    deadlineMs: Date.now() + 60_000,
    now: Date.now,
    random: () => 0,
    signal: long,
  })
  t.same(getEventListeners(long, 'abort'), [])
  bucket.close()
})

await t.test('a request is not repeated by itself', async t => {
  const proxy = await startProxy(endpoint, () => ({ kind: 'answer', status: 500 }))
  const bucket = openS3Bucket({ ...options, endpoint: proxy.endpoint })
  await t.rejects(bucket.put('a', body, never), { code: 'server', next: 'unknown' })
  t.equal(proxy.seen.length, 1)
  bucket.close()
  await proxy.close()
})

await t.test('a key pair that may read objects and not ask for the bucket sees an absent object as absent', async t => {
  const proxy = await startProxy(endpoint, ({ url }) =>
    // HeadBucket: the path is the bucket's alone.
    /^\/[^/?]+\/?$/.test(url) ? { kind: 'answer', status: 403 } : { kind: 'pass' },
  )
  const bucket = openS3Bucket({ ...options, endpoint: proxy.endpoint })
  t.equal(await bucket.head('absent', never), undefined)
  bucket.close()
  await proxy.close()
})

await t.test('a server that is killed and comes back is used again', async t => {
  const first = await startS3()
  const pair = { accessKeyId: first.accessKeyId, secretAccessKey: first.secretAccessKey }
  const bucket = openS3Bucket({ endpoint: first.endpoint, bucket: first.bucket, ...pair })
  await bucket.put('a', body, never)
  await first.kill()
  const error = await bucket.put('a', body, never).catch(error => error)
  t.ok(error instanceof BucketError && error.code === 'connection', error.message)
  const second = await startS3({ port: Number(new URL(first.endpoint).port), pair })
  await bucket.put('a', body, never)
  t.same(await bucket.get('a', never), body)
  bucket.close()
  await second.stop()
})

function urlOf(address: AddressInfo | string | null): string {
  return `http://127.0.0.1:${(address as AddressInfo).port}`
}

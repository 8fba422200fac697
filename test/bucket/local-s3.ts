import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { MIN_PART_BYTES } from '../../src/bucket/parts.js'
import { openS3Bucket } from '../../src/bucket/s3.js'
import { launch, startS3 } from '../helpers/s3-server.js'

// Real processes and disks: on a busy machine they take their time.
t.setTimeout(280_000)

const never = new AbortController().signal
const PAIR = { GRAIL_S3_ACCESS_KEY_ID: 'AKIATEST', GRAIL_S3_SECRET_ACCESS_KEY: 'hunter2hunter2' }

/** Runs the server until it ends by itself. */
async function refused(args: string[], env: Record<string, string> = {}): Promise<{ code: number; says: string }> {
  const { child, log } = launch(args, env)
  const [code] = (await once(child, 'close')) as [number]
  return { code, says: log() }
}

// Installs the server where it is not.
const server = await startS3()
t.teardown(() => server.stop())

await t.test('the key pair is not on the command line, which every user of the host can read', async t => {
  const { pid, secretAccessKey, accessKeyId } = server
  t.notMatch(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), secretAccessKey)
  t.notMatch(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), accessKeyId)
})

await t.test('the key pair may come from a file that only its owner can read', async t => {
  const folder = t.testdir()
  const file = join(folder, 'pair.json')
  writeFileSync(file, JSON.stringify({ accessKeyId: 'AKIAFILE', secretAccessKey: 'from-a-file' }), { mode: 0o600 })
  t.equal(statSync(file).mode & 0o777, 0o600)
  const { child } = launch(['--credentials', file, '--bucket', 'rehearsal', '--until-stdin-closes'])
  const { value } = await createInterface({ input: child.stdout as NodeJS.ReadableStream })
    [Symbol.asyncIterator]()
    .next()
  const [, endpoint = ''] =
    /^ready (\S+) bucket rehearsal \(the newest 1024 MiB of objects are kept in memory/.exec(value) ?? []
  const options = { endpoint, bucket: 'rehearsal', accessKeyId: 'AKIAFILE' }
  const bucket = openS3Bucket({ ...options, secretAccessKey: 'from-a-file' })
  await bucket.put('a', Buffer.from('x'), never)
  const stranger = openS3Bucket({ ...options, secretAccessKey: 'from-nowhere' })
  await t.rejects(stranger.get('a', never), { code: 'access-denied' })
  bucket.close()
  stranger.close()
  const gone = once(child, 'exit')
  child.stdin?.end()
  t.same(await gone, [0, null], 'it ends when whoever started it lets go')
})

await t.test('the oldest objects make room for new ones', async t => {
  const { child } = launch(['--limit-mib', '16', '--until-stdin-closes'], PAIR)
  const { value } = await createInterface({ input: child.stdout as NodeJS.ReadableStream })
    [Symbol.asyncIterator]()
    .next()
  const [, endpoint = ''] = /^ready (\S+) /.exec(value) ?? []
  const bucket = openS3Bucket({ endpoint, bucket: 'grail', accessKeyId: 'AKIATEST', secretAccessKey: 'hunter2hunter2' })
  const part = Buffer.alloc(MIN_PART_BYTES)
  for (const key of ['a', 'b', 'c', 'd', 'e']) {
    const { uploadId } = await bucket.openUpload(key, never)
    const parts = [await bucket.putPart(key, uploadId, 1, part, never)]
    await bucket.complete(key, uploadId, parts, never)
  }
  const keys = []
  for await (const { key } of bucket.list('', never)) keys.push(key)
  t.same(keys, ['c', 'd', 'e'])
  await bucket.put('large', Buffer.alloc(20 * 1024 * 1024), never)
  t.equal((await bucket.get('large', never)).length, 20 * 1024 * 1024, 'what was just stored always stays')
  bucket.close()
  const gone = once(child, 'exit')
  child.stdin?.end()
  await gone
})

await t.test('what is wrong is one sentence and exit code 1', async t => {
  const folder = t.testdir()
  const open = join(folder, 'open.json')
  writeFileSync(open, '{}', { mode: 0o644 })
  const broken = join(folder, 'broken.json')
  writeFileSync(broken, '{"accessKeyId": "hunter2hunter2"', { mode: 0o600 })
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  const cases: [title: string, args: string[], env: Record<string, string>, says: RegExp][] = [
    ['no key pair', [], {}, /no key pair: give --credentials FILE, or set/],
    ['half a key pair', [], { GRAIL_S3_ACCESS_KEY_ID: 'a' }, /no key pair/],
    ['a file others may read', ['--credentials', open], {}, /may be read by others \(mode 0644\): chmod 600 it/],
    ['no file', ['--credentials', join(folder, 'none')], {}, /cannot be read: No such file/],
    ['a broken file', ['--credentials', broken], {}, /is not JSON with accessKeyId and secretAccessKey/],
    ['a port that is taken', ['--port', String(port)], PAIR, /cannot listen on 127\.0\.0\.1:\d+/],
    ['a name no bucket has', ['--bucket', 'x'], PAIR, /'x' is no name for a bucket/],
  ]
  for (const [title, args, env, says] of cases) {
    const end = await refused(args, env)
    t.equal(end.code, 1, title)
    t.match(end.says, says, title)
    t.equal(end.says.trim().split('\n').length, 1, `${title}: one line`)
    t.notMatch(end.says, /hunter2/)
  }
  taken.close()
})

await t.test('what carries no signature is refused, whatever it asks for', async t => {
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/grail'],
    ['PUT', '/grail/a'],
    ['POST', '/moto-api/reset'],
    ['POST', '/moto-api/reset-auth'],
    ['GET', '/latest/meta-data/'],
  ] as const) {
    const { hostname, port } = new URL(server.endpoint)
    const asked = request({ hostname, port, method, path })
    asked.end('inf')
    const [answer] = await once(asked, 'response')
    answer.resume()
    t.equal(answer.statusCode, 403, `${method} ${path}`)
  }
})

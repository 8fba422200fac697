import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { PartFacts } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { dirError } from '../../src/bucket/dir-files.js'
import { singleEtag } from '../../src/bucket/expected.js'
import { MIN_PART_BYTES } from '../../src/bucket/parts.js'

// Real processes and disks: on a busy machine they take their time.
t.setTimeout(120_000)

const never = new AbortController().signal
const here = fileURLToPath(import.meta.url)
const workerFile = join(here, `../../helpers/dir-worker${here.slice(-3)}`)

function worker(...args: string[]): ChildProcess & { lines: AsyncIterableIterator<string> } {
  const child = spawn(process.execPath, [...process.execArgv, workerFile, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return Object.assign(child, { lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() })
}

await t.test('an object is a plain file under the path of its key', async t => {
  const folder = t.testdir()
  const bucket = openDirBucket({ folder })
  await bucket.put('grail/windows/5F-window-30.parquet', Buffer.from('PAR1'), never)
  t.equal(readFileSync(join(folder, 'grail/windows/5F-window-30.parquet'), 'utf8'), 'PAR1')
})

await t.test('a file that was copied into the folder is an object with its MD5', async t => {
  const folder = t.testdir({ grail: { windows: { 'a.parquet': 'PAR1' } } })
  const facts = await openDirBucket({ folder }).head('grail/windows/a.parquet', never)
  t.match(facts, { bytes: 4, etag: singleEtag(Buffer.from('PAR1')), metadata: {} })
})

await t.test('a file that was changed by hand loses the facts of the object it was', async t => {
  const folder = t.testdir()
  const bucket = openDirBucket({ folder })
  await bucket.put('a.parquet', Buffer.from('first'), never, { metadata: { of: 'first' } })
  writeFileSync(join(folder, 'a.parquet'), 'second')
  t.match(await bucket.head('a.parquet', never), { bytes: 6, etag: singleEtag(Buffer.from('second')), metadata: {} })
})

await t.test('files no key leads to are not listed', async t => {
  const folder = t.testdir({
    'a.parquet': '',
    'no dot': '',
    '.hidden': '',
    'x%2Fy.': '',
    sub: { 'b.parquet': '', noext: '' },
  })
  const keys = []
  for await (const { key } of openDirBucket({ folder }).list('', never)) keys.push(key)
  t.same(keys, ['a.parquet', 'sub/b.parquet'])
})

await t.test('LastModified is when Complete made the object visible, not when the upload was opened', async t => {
  let nowMs = 1_700_000_000_000
  const bucket = openDirBucket({ folder: t.testdir() }, () => nowMs)
  const { uploadId } = await bucket.openUpload('a', never)
  const part = await bucket.putPart('a', uploadId, 1, Buffer.from('x'), never)
  t.match(await bucket.listUploads('', never), [{ initiatedMs: 1_700_000_000_000 }])
  nowMs += 100_999
  await bucket.complete('a', uploadId, [part], never)
  t.equal((await bucket.head('a', never))?.lastModifiedMs, 1_700_000_100_000, 'rounded down to a second, as S3 does')
})

await t.test('an absent folder is made only when asked for', async t => {
  const folder = join(t.testdir(), 'new/bucket')
  await t.rejects(openDirBucket({ folder }).put('a', Buffer.from('x'), never), { code: 'no-such-bucket' })
  await openDirBucket({ folder, create: true }).put('a', Buffer.from('x'), never)
  t.throws(() => openDirBucket({ folder: join(folder, 'a./below'), create: true }), { code: 'server', next: 'never' })
})

await t.test('three processes replace one object at once: every look finds one of them, whole', async t => {
  const folder = t.testdir()
  const bucket = openDirBucket({ folder })
  await bucket.put('same/key', Buffer.from('x'), never, { metadata: { md5: singleEtag(Buffer.from('x')) } })
  const workers = [1, 2, 3].map(() => worker(folder, 'put', '40'))
  let running = workers.length
  const ends = workers.map(child => once(child, 'exit').finally(() => running--))
  const versions = new Set<string>()
  while (running > 0) {
    const facts = await bucket.head('same/key', never)
    if (facts?.etag !== facts?.metadata.md5) t.fail(`etag ${facts?.etag} with the facts of ${facts?.metadata.md5}`)
    versions.add(facts?.etag ?? '')
    const bytes = await bucket.get('same/key', never)
    if (bytes.length > 1 && bytes.length < 50_000) t.fail('half an object')
  }
  for (const [code] of await Promise.all(ends)) t.equal(code, 0)
  t.ok(versions.size > 3, `${versions.size} versions were seen`)
  const last = await bucket.head('same/key', never)
  t.equal(
    last?.etag,
    createHash('md5')
      .update(await bucket.get('same/key', never))
      .digest('hex'),
  )
  t.same(readdirSync(join(folder, '.bucket/tmp')), [])
})

await t.test('of four processes that complete one upload one wins, and the others find it gone', async t => {
  const folder = t.testdir()
  const bucket = openDirBucket({ folder })
  for (let round = 0; round < 3; round++) {
    const key = `race/${round}`
    const { uploadId } = await bucket.openUpload(key, never)
    const parts: PartFacts[] = []
    for (const [i, bytes] of [MIN_PART_BYTES, 10].entries())
      parts.push(await bucket.putPart(key, uploadId, i + 1, Buffer.alloc(bytes, i), never))
    const workers = [1, 2, 3, 4].map(() => worker(folder, 'complete', key, uploadId, JSON.stringify(parts)))
    const said = await Promise.all(workers.map(async child => (await child.lines.next()).value))
    t.same(said.toSorted(), ['no-such-upload', 'no-such-upload', 'no-such-upload', 'won'])
    t.equal((await bucket.head(key, never))?.bytes, MIN_PART_BYTES + 10)
  }
  t.same(await bucket.listUploads('', never), [])
})

await t.test('kill -9 in the middle of uploads leaves whole objects and uploads that can be aborted', async t => {
  const folder = t.testdir()
  const bucket = openDirBucket({ folder })
  const done: string[] = []
  // Killed when it has said so many lines, then at whatever it is doing.
  for (const lines of [1, 2, 3]) {
    const child = worker(folder, 'uploads')
    for (let i = 0; i < lines; i++) done.push((await child.lines.next()).value)
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    t.same((await gone)[1], 'SIGKILL')
  }
  const listed = []
  for await (const { key, bytes } of bucket.list('kill/', never)) {
    t.equal(bytes, MIN_PART_BYTES + 100, key)
    listed.push(key)
  }
  for (const key of done) t.ok(listed.includes(key), `${key} was said to be done`)
  for (const { key, uploadId } of await bucket.listUploads('kill/', never)) {
    t.notOk(done.includes(key))
    await bucket.abort(key, uploadId, never)
  }
  t.same(await bucket.listUploads('', never), [])
})

/** How node runs the worker and nothing else. */
const plainArgs = workerFile.endsWith('.ts') ? ['--import', 'tsx'] : []

await t.test('a write that does not fit is disk-full, and nothing of it stays', async t => {
  const folder = t.testdir()
  await openDirBucket({ folder }).put('big', Buffer.from('old'), never)
  // A file size limit of 1 MiB: the system refuses further bytes, as a full disk does.
  const child = spawn(
    'bash',
    [
      '-c',
      'unset NODE_OPTIONS; ulimit -f 1024; exec "$@"',
      'bash',
      process.execPath,
      ...plainArgs,
      workerFile,
      folder,
      'big',
    ],
    // The test runner's loader, which comes by NODE_OPTIONS, ends its process at the signal of the limit; node ignores it.
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
  t.match(value, /^disk-full later writing big: /)
  t.equal(Buffer.from(await openDirBucket({ folder }).get('big', never)).toString(), 'old')
  t.same(readdirSync(join(folder, '.bucket/tmp')), [])
})

await t.test(
  'a folder that may not be written is access-denied',
  { skip: process.getuid?.() === 0 && 'root may write everywhere' },
  async t => {
    const folder = t.testdir({ locked: {} })
    chmodSync(join(folder, 'locked'), 0o500)
    const bucket = openDirBucket({ folder: join(folder, 'locked') })
    await t.rejects(bucket.put('a', randomBytes(3), never), { code: 'access-denied', next: 'never' })
  },
)

await t.test('a folder somebody made where a file belongs is told as such', async t => {
  const folder = t.testdir()
  const bucket = openDirBucket({ folder })
  await bucket.put('b', randomBytes(3), never)
  mkdirSync(join(folder, 'a.parquet'))
  await t.rejects(bucket.put('a.parquet', randomBytes(3), never), {
    code: 'server',
    next: 'never',
    message: /something else/,
  })
  t.same(readdirSync(join(folder, '.bucket/tmp')), [])
})

await t.test('errors of the file system say what comes next', async t => {
  const cases: [errno: string, code: string, next: string][] = [
    ['ENOSPC', 'disk-full', 'later'],
    ['EDQUOT', 'disk-full', 'later'],
    ['EFBIG', 'disk-full', 'later'],
    ['EACCES', 'access-denied', 'never'],
    ['EPERM', 'access-denied', 'never'],
    ['EROFS', 'access-denied', 'never'],
    ['ENAMETOOLONG', 'invalid-key', 'never'],
    ['EMFILE', 'server', 'later'],
    ['EIO', 'server', 'later'],
  ]
  for (const [errno, code, next] of cases) {
    const cause = Object.assign(new Error(errno), { code: errno })
    t.match(dirError(cause, 'writing a'), { code, next, cause, message: /^writing a: / }, errno)
  }
  const bug = new TypeError('a bug')
  t.equal(dirError(bug, 'writing a'), bug, 'what is no error of the file system stays what it is')
})

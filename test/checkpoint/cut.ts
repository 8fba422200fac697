import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { type Bucket, BucketError, type ObjectFacts } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import type { CacheOptions } from '../../src/checkpoint/cache.js'
import { lookAt } from '../../src/checkpoint/cached.js'
import { CHUNK_BYTES } from '../../src/checkpoint/chunked-file.js'
import { fileLock } from '../../src/checkpoint/file-lock.js'
import { isAlive, thisProcess } from '../../src/checkpoint/process-identity.js'
import { crashAt } from '../helpers/crash-fs.js'
import { host, published, watched } from './helpers/host.js'
import { fullFiles, publishDelta, publishFull, someWeights, trained } from './helpers/publisher.js'

// Downloads that are cut, processes that are killed or want the same, disks that are full.

// Real processes and disks: on a busy machine they take their time.
t.setTimeout(300_000)

const never = new AbortController().signal
const here = fileURLToPath(import.meta.url)
const program = join(here, `../helpers/cache-process${here.slice(-3)}`)

/** Weights whose first shard is four chunks long. */
const large = someWeights(1, Math.ceil((3.5 * CHUNK_BYTES) / (300 * 64 * 2)))
const SHARD = 'model-00001-of-00002.safetensors'
const shard = fullFiles(large)[SHARD]!

async function largeBucket(t: {
  testdir(): string
}): Promise<{ bucket: Bucket; bucketFolder: string; folder: string }> {
  const folder = t.testdir()
  const bucketFolder = join(folder, 'bucket')
  const bucket = openDirBucket({ folder: bucketFolder, create: true })
  await publishFull(bucket, 900, large)
  return { bucket, bucketFolder, folder: join(folder, 'cache') }
}

/** How node runs the program and nothing else: the test runner's loaders would end it at the signal of a limit. */
const plainArgs = program.endsWith('.ts') ? ['--import', 'tsx'] : []

/** A process that wants checkpoint `window`; its lines so far. @param limit shell commands before it */
function wanting(t: Test, args: string[], limit = '') {
  const child = spawn('bash', ['-c', `${limit} exec "$@"`, 'bash', process.execPath, ...plainArgs, program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: string[] = []
  const heard: (() => void)[] = []
  createInterface({ input: child.stdout }).on('line', line => {
    lines.push(line)
    for (const tell of heard.splice(0)) tell()
  })
  const ended = once(child, 'close')
  return {
    child,
    lines,
    ended,
    async says(line: string) {
      while (!lines.includes(line)) await new Promise<void>(resolve => heard.push(resolve))
    },
  }
}

/** The same objects, read without a file system. */
async function inMemory(bucket: Bucket): Promise<Bucket> {
  const objects = new Map<string, { facts: ObjectFacts; bytes: Uint8Array }>()
  for await (const facts of bucket.list('', never))
    objects.set(facts.key, { facts, bytes: await bucket.get(facts.key, never) })
  return {
    ...bucket,
    get: async (key, _signal, { from, to } = { from: 0, to: Number.POSITIVE_INFINITY }) =>
      objects.get(key)!.bytes.subarray(from, to),
    async *list(prefix) {
      for (const { facts } of objects.values()) if (facts.key.startsWith(prefix)) yield facts
    },
  }
}

const partials = (folder: string) => readdirSync(folder).filter(name => name.endsWith('.partial'))
const shards = (keys: readonly string[]) => keys.filter(key => key.endsWith(SHARD)).length

await t.test('a download that is cut goes on where it was', async t => {
  const { bucket, folder } = await largeBucket(t)
  const pointer = await published(bucket, 900)
  const cut = new BucketError('access-denied', 'cut', 'never')
  const first = watched(bucket, (key, range) =>
    key.endsWith(SHARD) && range?.from === 2 * CHUNK_BYTES ? cut : undefined,
  )
  await t.rejects(host(folder, first, { parallel: 1 }).ensure(pointer, never), cut)
  t.equal(readdirSync(folder).includes('checkpoint-900'), false)
  t.equal(partials(folder).length, 1)

  const second = watched(bucket)
  const cache = host(folder, second)
  const found = await cache.ensure(pointer, never)
  t.ok(readFileSync(join(found.folder, SHARD)).equals(shard))
  t.equal(shards(first.gets) + shards(second.gets), 4, 'every chunk of the large file was fetched once')
  t.match(cache.told[0], { kind: 'downloading', done: 2 * CHUNK_BYTES }, 'and what was there counts')
  t.same(partials(folder), [])
})

await t.test('an abort ends a download with its reason, and the next call goes on', async t => {
  const { bucket, folder } = await largeBucket(t)
  const pointer = await published(bucket, 900)
  const over = new AbortController()
  const reason = new Error('shutdown')
  const aborting = watched(bucket, (key, range) => {
    if (key.endsWith(SHARD) && range?.from === CHUNK_BYTES) over.abort(reason)
    return undefined
  })
  await t.rejects(host(folder, aborting).ensure(pointer, over.signal), reason)
  t.same(
    readdirSync(folder).filter(name => !name.endsWith('.partial')),
    ['.locks'],
  )
  const found = await host(folder, bucket).ensure(pointer, never)
  t.ok(readFileSync(join(found.folder, SHARD)).equals(shard))
})

await t.test('what a killed process had fetched is gone on with by the next one', async t => {
  const { bucket, bucketFolder, folder } = await largeBucket(t)
  const all = watched(bucket)
  await host(`${folder}-other`, all).ensure(await published(bucket, 900), never)
  const last = String(all.gets.length)

  const first = wanting(t, [bucketFolder, folder, '900', last])
  await first.says('hang')
  first.child.kill('SIGKILL')
  await first.ended
  t.equal(partials(folder).length, 1)

  const second = watched(bucket)
  const found = await host(folder, second).ensure(await published(bucket, 900), never)
  t.ok(readFileSync(join(found.folder, SHARD)).equals(shard))
  t.equal(second.gets.length, 1, 'only the request that was not answered is repeated')
  t.same(partials(folder), [])
})

await t.test('what a killed process left of another checkpoint is removed', async t => {
  const { bucket, bucketFolder, folder } = await largeBucket(t)
  const first = wanting(t, [bucketFolder, folder, '900', '2'])
  await first.says('hang')
  const cache = host(folder, bucket)
  await cache.purge([])
  t.equal(partials(folder).length, 1, 'not while it lives')
  first.child.kill('SIGKILL')
  await first.ended
  await cache.purge([])
  t.same(partials(folder), [])
})

const noProc = existsSync('/proc/self/task') ? false : 'there is no /proc to find the child process in'

await t.test('a process killed while it puts weights together takes its helper with it', { skip: noProc }, async t => {
  const { bucket, bucketFolder, folder } = await largeBucket(t)
  const to = trained(large, 2)
  await publishDelta(bucket, 930, { previous: 900, from: large, to })
  const first = wanting(t, [bucketFolder, folder, '930'])
  await first.says('assembling')
  const helpers = () => readFileSync(`/proc/${first.child.pid}/task/${first.child.pid}/children`, 'utf8').trim()
  while (helpers() === '') await new Promise(resolve => setImmediate(resolve))
  const pid = Number(helpers().split(' ')[0])
  // Not before it is a program of its own: until then it holds its parent's files open.
  while (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('assemble-child'))
    await new Promise(resolve => setImmediate(resolve))
  process.kill(pid, 'SIGSTOP')
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const me = await thisProcess()
  const helper = { ...me, pid, started: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]! }
  t.equal(await isAlive(helper, me), true)
  first.child.kill('SIGKILL')
  await first.ended
  process.kill(pid, 'SIGCONT')
  while (await isAlive(helper, me)) await new Promise(resolve => setImmediate(resolve))
  const unfinished = join(folder, partials(folder)[0]!, 'assembled', 'model-00002-of-00002.safetensors')
  t.equal(existsSync(unfinished), false, 'it did not go on with its work')

  const seen = watched(bucket)
  const found = await host(folder, seen).ensure(await published(bucket, 930), never)
  t.ok(readFileSync(join(found.folder, SHARD)).equals(fullFiles(to)[SHARD]!))
  t.same(
    seen.gets.filter(key => key.endsWith('.zst') || key.endsWith(SHARD)),
    [],
    'the delta and its base were there',
  )
  t.same(partials(folder), [])
})

await t.test('processes that want the same checkpoint fetch it once', async t => {
  const { bucket, bucketFolder, folder } = await largeBucket(t)
  const to = trained(large, 2)
  await publishDelta(bucket, 930, { previous: 900, from: large, to })
  const processes = [1, 2, 3].map(() => wanting(t, [bucketFolder, folder, '930']))
  await Promise.all(processes.map(({ ended }) => ended))
  for (const { lines } of processes) t.equal(lines.at(-1), `done ${join(folder, 'checkpoint-930')}`)
  const gets = processes.flatMap(({ lines }) => lines).filter(line => line.startsWith('get '))
  t.equal(shards(gets), 4)
  t.equal(gets.filter(line => line.endsWith('delta_sparse.bin.zst')).length, 1)
  t.ok(readFileSync(join(folder, 'checkpoint-930', SHARD)).equals(fullFiles(to)[SHARD]!))
})

await t.test('one who waits takes over when the one who works is killed', async t => {
  const { bucketFolder, folder } = await largeBucket(t)
  const first = wanting(t, [bucketFolder, folder, '900', '3'])
  await first.says('hang')
  const second = wanting(t, [bucketFolder, folder, '900'])
  first.child.kill('SIGKILL')
  await second.ended
  t.equal(second.lines.at(-1), `done ${join(folder, 'checkpoint-900')}`)
})

await t.test('a checkpoint that does not fit is refused before anything is fetched', async t => {
  const { bucket, folder } = await largeBucket(t)
  const seen = watched(bucket)
  const cache = host(folder, seen, { reserveBytes: 2 * 1024 ** 3, free: async () => 2 * 1024 ** 3 + 1000 })
  const pointer = await published(bucket, 900)
  await t.rejects(cache.ensure(pointer, never), {
    code: 'disk-full',
    next: 'later',
    message: /0\.0 GiB are to come and 2\.0 GiB to be left free, but only 2\.0 GiB are free\. Make room/,
  })
  t.same(seen.gets, [])
  t.same(readdirSync(folder), ['.locks'])
})

await t.test('a disk that is full in the middle leaves nothing half-written', async t => {
  const { bucketFolder, folder } = await largeBucket(t)
  // The largest file this process may write, in KiB: two chunks.
  const limited = wanting(
    t,
    [bucketFolder, folder, '900'],
    `unset NODE_OPTIONS; ulimit -f ${(2 * CHUNK_BYTES) / 1024};`,
  )
  await limited.ended
  t.equal(limited.lines.at(-1), 'failed disk-full')
  t.same(readdirSync(folder), ['.locks'])
})

await t.test('on a full disk what is not needed makes room', async t => {
  const { bucket, folder } = await largeBucket(t)
  await publishFull(bucket, 600, someWeights(3))
  await publishFull(bucket, 630, someWeights(4))
  const HOUR = 60 * 60_000
  let nowMs = Date.now()
  const free = async () => (readdirSync(folder).includes('checkpoint-600') ? 0 : 1024 ** 3)
  const early = host(folder, bucket, { now: () => nowMs })
  await early.ensure(await published(bucket, 600), never)
  nowMs += HOUR
  await early.ensure(await published(bucket, 630), never)
  const cache = host(folder, bucket, { now: () => nowMs, free })
  await cache.ensure(await published(bucket, 900), never)
  t.match(
    cache.told.filter(({ kind }) => kind === 'removed'),
    [{ window: 600, why: 'size' }],
    'what was used a moment ago stays',
  )
  t.same(readdirSync(folder).sort(), ['.locks', 'checkpoint-630', 'checkpoint-900'])
})

await t.test(
  'the one in use and what the next one’s delta will be put on stay, however little room there is',
  async t => {
    const isThere = (folder: string, window: number) => readdirSync(folder).includes(`checkpoint-${window}`)
    const cases: [title: string, over: (folder: string) => Partial<CacheOptions>, left: number[]][] = [
      ['a small cache', () => ({ maxBytes: 1 }), [600, 630, 900]],
      // As long as 900 is not there, a delta of it may lead back to 660.
      ['a full disk', folder => ({ free: async () => (isThere(folder, 570) ? 0 : 1024 ** 3) }), [600, 630, 660, 900]],
    ]
    for (const [title, over, left] of cases) {
      const { bucket, folder } = await largeBucket(t)
      const LONG_AGO_MS = Date.now() - 60 * 60_000
      const before = host(folder, bucket, { now: () => LONG_AGO_MS })
      for (const window of [570, 600, 630, 660]) {
        await publishFull(bucket, window, someWeights(window))
        await before.ensure(await published(bucket, window), never)
      }
      // 600 is mined with; 645 comes next and is not here yet: its delta leads back to 630.
      const cache = host(folder, bucket, { keep: () => [600, 645], ...over(folder) })
      await cache.ensure(await published(bucket, 900), never)
      t.same(readdirSync(folder).sort(), ['.locks', ...left.map(window => `checkpoint-${window}`)], title)
    }
  },
)

await t.test('work under a lock that was lost ends, and says so', async t => {
  const { bucket, folder } = await largeBucket(t)
  const lost = new AbortController()
  const losing = watched(bucket, key => {
    if (key.endsWith(SHARD)) lost.abort(new Error('the lease ended'))
    return undefined
  })
  const released: string[] = []
  const cache = host(folder, losing, {
    lock: async name => ({ lost: lost.signal, release: async () => void released.push(name) }),
  })
  await t.rejects(cache.ensure(await published(bucket, 900), never), { code: 'lock-lost', next: 'later' })
  t.same(released, ['checkpoint-900'])
  t.notOk(readdirSync(folder).includes('checkpoint-900'))
})

await t.test('who hung while another one took over leaves in place what that one made', async t => {
  const { bucket, folder } = await largeBucket(t)
  const pointer = await published(bucket, 900)
  let wake = () => {}
  let stopped = () => {}
  const isStopped = new Promise<void>(resolve => {
    stopped = resolve
  })
  const hanging = watched(bucket)
  const stoppedAt = {
    ...hanging,
    async get(key: string, signal: AbortSignal, range?: { from: number; to: number }) {
      if (key.endsWith(SHARD) && range?.from === CHUNK_BYTES) {
        stopped()
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
      return hanging.get(key, signal, range)
    },
  }
  // Its lock is another's, which it has not noticed.
  const alive = new AbortController().signal
  const lock = async () => ({ lost: alive, release: async () => {} })
  const place = fileLock({ folder: join(folder, '.locks'), now: Date.now, pollMs: 5 })
  const slow = host(folder, stoppedAt, { lock, place, parallel: 1 })
  const late = slow.ensure(pointer, never)
  await isStopped
  const taken = await host(folder, bucket, { lock, place }).ensure(pointer, never)
  const { ino } = statSync(join(taken.folder, SHARD))
  wake()
  t.same(await late, taken, 'it gets what is there')
  t.equal(statSync(join(taken.folder, SHARD)).ino, ino, 'which may be in use: it is not replaced')
  t.notOk(slow.told.some(({ kind }) => kind === 'ready'))
  t.same(partials(folder), [], 'and nothing of its own is left')
})

await t.test('a process that stops at any call of the file system leaves a whole checkpoint or none', async t => {
  const small = someWeights(1)
  const folder = t.testdir()
  const bucket = openDirBucket({ folder: join(folder, 'bucket'), create: true })
  await publishFull(bucket, 900, small)
  const pointer = await published(bucket, 900)
  // In memory: only the cache's own calls count.
  const memory = await inMemory(bucket)
  const stopped: Record<string, number> = {}
  for (let nth = 1; ; nth++) {
    const cache = join(folder, `cache-${nth}`)
    const alive = new AbortController().signal
    const lock = async () => ({ lost: alive, release: async () => {} })
    const { at } = await crashAt(nth, () => host(cache, memory, { lock, parallel: 1 }).ensure(pointer, alive))
    if (at === undefined) break
    stopped[at] = (stopped[at] ?? 0) + 1
    const there = existsSync(join(cache, 'checkpoint-900'))
    if (there) t.match(await lookAt(join(cache, 'checkpoint-900'), pointer), { state: 'verified' }, `${nth}: ${at}`)
    const found = await host(cache, bucket, { lock }).ensure(pointer, never)
    for (const [path, bytes] of Object.entries(fullFiles(small)))
      if (!readFileSync(join(found.folder, path)).equals(bytes)) t.fail(`${nth}: ${at}: ${path}`)
    rmSync(cache, { recursive: true, force: true })
  }
  t.match(stopped, { open: Number, rename: Number, rm: Number, mkdir: Number })
})

import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Bucket, PartFacts } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { download } from '../../src/bucket/download.js'
import { MIN_PART_BYTES } from '../../src/bucket/parts.js'
import { openS3Bucket } from '../../src/bucket/s3.js'
import { objectKey, shadowKey } from '../../src/window/object.js'
import { downloadCommand, downloadFrom } from '../../supervisor/commands/download.js'
import { startProxy } from '../helpers/http-proxy.js'
import { startS3 } from '../helpers/s3-server.js'

// Real processes and disks: on a busy machine they take their time.
t.setTimeout(120_000)

const never = new AbortController().signal
const HOTKEY = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const OTHER = '5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty'
const STEP = 8 * 1024 * 1024
const still = { signal: never, now: Date.now, random: () => 0.5, wait: async () => {} }

function terminal(bucket: Bucket, hotkey?: string) {
  const [out, err]: [string[], string[]] = [[], []]
  const lines = { out: (line: string) => out.push(line), err: (line: string) => err.push(line) }
  return { out, err, io: { ...still, ...lines, bucket, ...(hotkey === undefined ? {} : { hotkey }) } }
}

/** A bucket with three windows of one hotkey, one of another, and things that are no window files. */
async function filled(folder: string): Promise<Bucket> {
  const bucket = openDirBucket({ folder, create: true }, () => 1_700_000_000_000)
  for (const window of [90, 9_000, 120]) await bucket.put(objectKey(HOTKEY, window), Buffer.alloc(window), never)
  await bucket.put(objectKey(OTHER, 30), Buffer.alloc(300), never)
  await bucket.put('grail/windows/readme.txt', Buffer.from('x'), never)
  return bucket
}

await t.test('--list has window, time, bytes and hotkey of every file, oldest window first', async t => {
  const bucket = await filled(join(t.testdir(), 'bucket'))
  const mine = terminal(bucket, HOTKEY)
  t.equal(await downloadFrom(['--list'], mine.io), 0)
  t.same(mine.out, [
    `90\t2023-11-14T22:13:20Z\t90\t${HOTKEY}`,
    `120\t2023-11-14T22:13:20Z\t120\t${HOTKEY}`,
    `9000\t2023-11-14T22:13:20Z\t9000\t${HOTKEY}`,
  ])
  t.match(mine.err, [/window 90: 90 bytes are too few/, /window 120: /])
  const all = terminal(bucket)
  t.equal(await downloadFrom(['--list'], all.io), 0)
  t.equal(all.out.length, 4)
  const other = terminal(bucket, HOTKEY)
  t.equal(await downloadFrom(['--list', '--hotkey', OTHER], other.io), 0)
  t.match(other.out, [/^30\t/])
})

await t.test('a file that hides a window file from validators is remarked on', async t => {
  const bucket = await filled(join(t.testdir(), 'bucket'))
  await bucket.put(shadowKey(objectKey(HOTKEY, 9_000)), Buffer.alloc(300), never)
  const { io, err, out } = terminal(bucket, HOTKEY)
  t.equal(await downloadFrom(['--list'], io), 0)
  t.equal(out.length, 3)
  t.match(err.join('\n'), /window 9000: validators read grail\/windows\/.*-window-9000\.parquet\.gz instead: remove it/)
})

await t.test('files are fetched by window, the latest ones, or the newest; their paths are the output', async t => {
  const folder = t.testdir()
  const bucket = await filled(join(folder, 'bucket'))
  const cases: [args: string[], windows: number[]][] = [
    [[], [9_000]],
    [
      ['--latest', '2'],
      [120, 9_000],
    ],
    [
      ['--latest', '99'],
      [90, 120, 9_000],
    ],
    [
      ['--window', '120', '--window', '90'],
      [120, 90],
    ],
    [['--window', '90', '--window', '90'], [90]],
  ]
  for (const [i, [args, windows]] of cases.entries()) {
    const { io, out } = terminal(bucket, HOTKEY)
    const output = join(folder, 'new', String(i))
    t.equal(await downloadFrom([...args, '--output', output], io), 0, args.join(' '))
    t.same(
      out,
      windows.map(window => join(output, `${HOTKEY}-window-${window}.parquet`)),
    )
    for (const [i, path] of out.entries()) t.equal(readFileSync(path).length, windows[i])
    t.equal(readdirSync(output).length, windows.length, 'and nothing else lies there')
  }
})

await t.test('what cannot be done is one sentence and exit code 1, wrong use 2', async t => {
  const folder = t.testdir({ file: '' })
  const bucket = await filled(join(folder, 'bucket'))
  const cases: [args: string[], hotkey: string | undefined, code: number, says: RegExp][] = [
    [[], undefined, 1, /give --hotkey SS58/],
    [[], OTHER.replace('5F', '5H'), 1, /there are no window files of 5H/],
    [['--window', '150'], HOTKEY, 1, /no file of window 150 of 5G/],
    [['--output', join(folder, 'file')], HOTKEY, 1, /EEXIST|ENOTDIR/],
    [['--window', '31'], HOTKEY, 2, /31 is not a window/],
    [['--window', 'x'], HOTKEY, 2, /--window takes a whole number, not 'x'/],
    [['--latest', '0'], HOTKEY, 2, /fetches nothing/],
    [['--latest', '-1'], HOTKEY, 2, /latest/],
    [['--list', '--latest', '1'], HOTKEY, 2, /exclude each other/],
    [['--hotkey', '../../etc'], undefined, 2, /not the ss58 address/],
    [['--nonsense'], HOTKEY, 2, /nonsense/],
    [['stray'], HOTKEY, 2, /stray/],
  ]
  for (const [args, hotkey, code, says] of cases) {
    const { io, out, err } = terminal(bucket, hotkey)
    t.equal(await downloadFrom(args, io), code, args.join(' '))
    t.match(err[0], says)
    if (code === 1) t.equal(err.length, 1)
    else t.match(err.join('\n'), /usage: grail download/)
    t.same(out, [])
  }
  const nowhere = terminal(openDirBucket({ folder: join(folder, 'nowhere') }), HOTKEY)
  t.equal(await downloadFrom([], nowhere.io), 1)
  t.match(nowhere.err, [/grail download: there is no folder .*nowhere/])
})

await t.test('the command takes bucket and hotkey from the inventory', async t => {
  const folder = t.testdir({
    'grail.toml': '[bucket]\nkind = "dir"\nfolder = "bucket"\n[wallet]\npath = "wallets"\ncold = "c"\nhot = "h"\n',
    wallets: { c: { hotkeys: { 'hpub.txt': JSON.stringify({ ss58Address: HOTKEY }) } } },
  })
  await filled(join(folder, 'bucket'))
  const [out, err]: [string[], string[]] = [[], []]
  const io = {
    out: (line: string) => out.push(line),
    err: (line: string) => err.push(line),
    env: {},
    ask: async () => false,
  }
  t.equal(await downloadCommand(['--config', join(folder, 'grail.toml'), '--window', '120', '--output', folder], io), 0)
  t.same(out, [join(folder, `${HOTKEY}-window-120.parquet`)])
  t.equal(await downloadCommand(['--list', '--latest', '1'], io), 2)
  t.equal(await downloadCommand(['--help'], io), 0)
  t.match(out.at(-1), /^usage: grail download/)
  await t.rejects(downloadCommand(['--config', join(folder, 'none.toml')], io), { name: 'ConfigError' })
})

await t.test('windows that are there are fetched even when another one is absent', async t => {
  const folder = t.testdir()
  const bucket = await filled(join(folder, 'bucket'))
  const { io, out, err } = terminal(bucket, HOTKEY)
  t.equal(await downloadFrom(['--window', '150', '--window', '90', '--output', folder], io), 1)
  t.equal(out.length, 1)
  t.match(err.at(-1), /no file of window 150/)
})

const server = await startS3()
t.teardown(() => server.stop())

await t.test('a download that breaks off leaves no file, and is gone on with from where it was', async t => {
  const { bucket: name, accessKeyId, secretAccessKey } = server
  let broken = true
  let gets = 0
  const proxy = await startProxy(server.endpoint, ({ what }) => {
    if (what !== 'get') return { kind: 'pass' }
    gets++
    return broken && gets > 1 ? { kind: 'answer', status: 403 } : { kind: 'pass' }
  })
  const bucket = openS3Bucket({ endpoint: proxy.endpoint, bucket: name, accessKeyId, secretAccessKey })
  const body = randomBytes(2 * STEP + 1_000)
  const key = objectKey(HOTKEY, 300)
  await bucket.put(key, body, never)
  const output = t.testdir()
  const file = join(output, `${HOTKEY}-window-300.parquet`)

  const first = terminal(bucket, HOTKEY)
  t.equal(await downloadFrom(['--window', '300', '--output', output], first.io), 1)
  t.match(first.err.at(-1), /403/)
  t.same(first.out, [])
  t.equal(existsSync(file), false)

  broken = false
  gets = 0
  const second = terminal(bucket, HOTKEY)
  t.equal(await downloadFrom(['--window', '300', '--output', output], second.io), 0)
  t.equal(gets, 2, 'the first third was not fetched again')
  t.match(second.err, [/window 300: 40 % of 16\.0 MiB/, /90 %/, /100 %/])
  t.ok(body.equals(readFileSync(file)))
  t.same(readdirSync(output), [`${HOTKEY}-window-300.parquet`])

  gets = 0
  const third = terminal(bucket, HOTKEY)
  t.equal(await downloadFrom(['--window', '300', '--output', output], third.io), 0)
  t.equal(gets, 0, 'a file that is there is not fetched')
  t.match(third.err, [/already there/])
  bucket.close()
  await proxy.close()
})

await t.test('what was fetched of another object is thrown away', async t => {
  const output = t.testdir()
  const bucket = openDirBucket({ folder: join(output, 'bucket'), create: true })
  await bucket.put('a', randomBytes(STEP + 5), never)
  const over = new AbortController()
  const reason = new Error('enough')
  const file = join(output, 'a.parquet')
  const stop = { ...still, signal: over.signal, onProgress: (done: number) => done > 0 && over.abort(reason) }
  await t.rejects(download(bucket, 'a', file, stop as never), reason)
  t.equal(readdirSync(output).filter(name => name.endsWith('.part')).length, 1)
  const body = randomBytes(STEP + 9)
  await bucket.put('a', body, never)
  const { fetched } = await download(bucket, 'a', file, still)
  t.equal(fetched, body.length)
  t.ok(body.equals(readFileSync(file)))
  t.same(readdirSync(output).toSorted(), ['a.parquet', 'bucket'])
})

await t.test('an object that is replaced in the middle is never mixed', async t => {
  const output = t.testdir()
  const bucket = openDirBucket({ folder: join(output, 'bucket'), create: true })
  await bucket.put('a', Buffer.alloc(2 * STEP, 1), never)
  const replacing: Bucket = {
    ...bucket,
    async get(key, signal, range) {
      const bytes = await bucket.get(key, signal, range)
      if (range?.from === 0) await bucket.put('a', Buffer.alloc(2 * STEP, 2), never)
      return bytes
    },
  }
  await t.rejects(download(replacing, 'a', join(output, 'a.parquet'), still), { code: 'conflict', next: 'later' })
  t.same(readdirSync(output), ['bucket'])
})

await t.test('bytes that are not those of the etag are refused', async t => {
  const output = t.testdir()
  const bucket = openDirBucket({ folder: join(output, 'bucket'), create: true })
  await bucket.put('a', Buffer.alloc(1_000, 1), never)
  const lying: Bucket = { ...bucket, get: async () => Buffer.alloc(1_000, 2) }
  await t.rejects(download(lying, 'a', join(output, 'a.parquet'), still), { code: 'bad-digest', next: 'later' })
  t.same(readdirSync(output), ['bucket'])
})

await t.test('an object of parts is compared by the MD5s of its parts', async t => {
  const output = t.testdir()
  const bucket = openDirBucket({ folder: join(output, 'bucket'), create: true })
  const cases: [key: string, sizes: number[], checked: string][] = [
    ['one', [1_000], 'md5'],
    ['usual', [MIN_PART_BYTES, MIN_PART_BYTES, 77], 'md5'],
    ['odd', [MIN_PART_BYTES + 1, 77], 'size'],
  ]
  for (const [key, sizes, expected] of cases) {
    const { uploadId } = await bucket.openUpload(key, never)
    const parts: PartFacts[] = []
    for (const [i, bytes] of sizes.entries())
      parts.push(await bucket.putPart(key, uploadId, i + 1, randomBytes(bytes), never))
    await bucket.complete(key, uploadId, parts, never)
    const { checked } = await download(bucket, key, join(output, key), still)
    t.equal(checked, expected, key)
  }
  // The same size, one byte off: only the MD5s can tell.
  const bytes = readFileSync(join(output, 'usual'))
  bytes[MIN_PART_BYTES + 3] = (bytes[MIN_PART_BYTES + 3] ?? 0) ^ 1
  writeFileSync(join(output, 'usual'), bytes)
  const again = await download(bucket, 'usual', join(output, 'usual'), still)
  t.equal(again.fetched, 2 * MIN_PART_BYTES + 77, 'a damaged file is fetched anew')
})

await t.test('an empty object becomes an empty file', async t => {
  const output = t.testdir()
  const bucket = openDirBucket({ folder: join(output, 'bucket'), create: true })
  await bucket.put('a', new Uint8Array(), never)
  await download(bucket, 'a', join(output, 'a'), still)
  t.equal(readFileSync(join(output, 'a')).length, 0)
})

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { rehearsalCheckpoint } from '../../src/engine/rehearsal/checkpoint.js'
import { bundledTokenizerFolder } from '../../src/environment/tokenizer.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { windowFileBytes } from '../../src/window/parquet/writer.js'
import { validateCommand } from '../../supervisor/commands/validate.js'
import { groupRows, WINDOW, WINDOW_HASH, workshop } from '../../supervisor/vectors/mutation-baseline.js'

const shop = await workshop()
const folder = await mkdtemp(join(tmpdir(), 'grail-validate-'))
t.teardown(() => rm(folder, { recursive: true }))
const checkpoint = join(folder, 'checkpoint')
await rehearsalCheckpoint({
  folder: checkpoint,
  tokenizerFolder: bundledTokenizerFolder(),
  window: shop.metadata.window,
  environment: 'sat',
  generation: shop.metadata.generation,
  thinkingMode: 'instructed',
})
const good = await groupRows(shop, 0)
const bad = structuredClone(good)
for (const row of bad.slice(3, 5)) row.commit.tokens[7] = (row.commit.tokens[7] as number) + 1

const file = async (path: string, rows: typeof good) => {
  await mkdir(join(path, '..'), { recursive: true })
  const header = { wallet: shop.hotkey.ss58, windowStart: WINDOW, windowLength: 30, timestamp: 1, rehearsal: true }
  await writeFile(path, await windowFileBytes(header, GRAIL_V5, rows))
  return path
}
const goodFile = await file(join(folder, 'files', 'a.parquet'), good)
const badFile = await file(join(folder, 'files', 'b.parquet'), bad)

async function run(...args: string[]) {
  const out: string[] = []
  const err: string[] = []
  const io = {
    out: (line: string) => out.push(line),
    err: (line: string) => err.push(line),
    env: {},
    ask: async () => false,
  }
  const code = await validateCommand(args, io, new AbortController().signal)
  return { code, out: out.join('\n'), err: err.join('\n'), lines: out }
}
const config = ['--config', join(folder, 'grail.toml')]

t.test('an accepted file: exit code 0, and everything was judged', async t => {
  const { code, out, err } = await run(
    goodFile,
    ...config,
    ...['--hotkey', shop.hotkey.ss58, '--window', String(WINDOW), '--hash', WINDOW_HASH, '--checkpoint', checkpoint],
  )
  t.equal(code, 0)
  t.equal(err, '')
  t.match(out, /verdict: {2}accepted\n {2}penalty: {2}none\n[\s\S]*16 rows in 1 groups[\s\S]*findings: 0/)
  t.notMatch(out, /unjudged/)
})

t.test(
  'a file that fails: exit code 1, the first failures with position, expected and actual, and the penalty',
  async t => {
    const { code, out } = await run(badFile, ...config, '--checkpoint', checkpoint)
    t.equal(code, 1)
    t.match(out, /verdict: {2}failure \(hard:env_prompt_valid\)/)
    t.match(out, /penalty: {2}failure flag: .*14 processed windows/)
    t.match(out, /env_prompt_valid \(hard\) in row 3, group 0, nonce 3, position 7: expected token \d+, found \d+/)
    t.match(out, /unjudged: whose file it is/)
  },
)

t.test('a folder gives one answer per file, and the worst exit code', async t => {
  const { code, lines } = await run(join(folder, 'files'), '--json', ...config, '--checkpoint', checkpoint)
  t.equal(code, 1)
  t.match(
    lines.map(line => JSON.parse(line)),
    [
      { file: goodFile, verdict: 'accepted', reason: null, counts: { valid: 16 } },
      { file: badFile, verdict: 'failure', findings: [{ row: 3, position: 7 }] },
    ],
  )
})

t.test('objects of a bucket are judged where they lie', async t => {
  const bucket = join(folder, 'bucket')
  await mkdir(bucket)
  const toml = join(folder, 'bucket.toml')
  await writeFile(toml, `[bucket]\nkind = "dir"\nfolder = ${JSON.stringify(bucket)}\n`)
  const { openBucket } = await import('../../src/bucket/index.js')
  const store = openBucket({ kind: 'dir', folder: bucket })
  const { signal } = new AbortController()
  const { readFile } = await import('node:fs/promises')
  await store.put('grail/windows/a.parquet', new Uint8Array(await readFile(goodFile)), signal)
  await store.put('grail/windows/b.txt', new Uint8Array(3), signal)
  store.close()
  for (const place of ['s3://any/grail/windows/a.parquet', 's3://any/grail/windows/']) {
    // With the hash given nobody asks a chain for it.
    const { code, out } = await run(place, '--config', toml, '--checkpoint', checkpoint, '--hash', WINDOW_HASH)
    t.equal(code, 0)
    t.match(out, /^s3:\/\/any\/grail\/windows\/a\.parquet\n {2}verdict: {2}accepted/)
  }
  t.match(await run('s3://any/nothing/', '--config', toml), { code: 2, err: /no \.parquet objects/ })
  t.match(await run('s3://any/nothing', '--config', toml), { code: 2, err: /there is no s3:\/\/any\/nothing/ })
})

t.test('what cannot be judged: exit code 2 and one sentence', async t => {
  const empty = join(folder, 'empty')
  await mkdir(empty)
  for (const [args, sentence] of [
    [[], /name a file, a folder or s3/],
    [['--nonsense', goodFile], /nonsense/],
    [[join(folder, 'absent.parquet')], /there is no .*absent\.parquet/],
    [[empty], /no \.parquet files/],
    [[goodFile, '--window', 'x'], /--window x is no block number/],
    [[goodFile, '--hash', 'abc'], /--hash abc is no hash/],
    [[goodFile, '--challenge', 'xyz'], /--challenge xyz is neither hex nor "chain"/],
    [[goodFile, '--engine', 'abacus'], /no engine "abacus": rehearsal, transformers/],
    [[goodFile, '--profile', 'grail-v9'], /unknown protocol profile "grail-v9"/],
    [[goodFile, '--checkpoint', empty], /no checkpoint: .* does not exist/],
    [[goodFile, '--engine', 'rehearsal'], /--engine needs --checkpoint/],
    [['s3://bucket/key'], /no .*grail\.toml/],
    [['s3://'], /no .*grail\.toml|names no bucket/],
  ] as const) {
    const { code, err } = await run(...args, ...config)
    t.equal(code, 2, args.join(' '))
    t.match(err, sentence)
    t.equal(err.split('\n').length, 1, 'one sentence')
  }
})

t.test('what is no window file is a verdict, not an error', async t => {
  const path = join(folder, 'note.parquet')
  await writeFile(path, 'not a Parquet file at all, but long enough to be looked at. '.repeat(10))
  t.match(await run(path, ...config), { code: 1, out: /failure \(file:corrupt_parquet\)[\s\S]*PAR1/ })
  await writeFile(path, 'short')
  t.match(await run(path, ...config), { code: 1, out: /ignored \(file:file_too_small\)/ })
})

t.test('--help tells every option', async t => {
  const { code, out } = await run('--help')
  t.equal(code, 0)
  for (const option of ['hotkey', 'window', 'hash', 'checkpoint', 'engine', 'challenge', 'profile', 'config', 'json'])
    t.match(out, `--${option}`)
})

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Bucket, BucketError } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import type { CacheProgress } from '../../src/checkpoint/cache.js'
import { DELTA_VERSIONS } from '../../src/checkpoint/delta-format.js'
import { DESCRIPTION_FILE } from '../../src/checkpoint/description.js'
import { readCheckpoint } from '../../src/checkpoint/folder.js'
import { SEAL_FILE } from '../../src/checkpoint/seal.js'
import { weightsHash } from '../../src/checkpoint/weights-hash.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { contentOf, host, published, watched } from './helpers/host.js'
import {
  fullFiles,
  MINED,
  publishDelta,
  publishForm,
  publishFull,
  sha256,
  someWeights,
  trained,
  type Weights,
} from './helpers/publisher.js'

// Real processes and disks: on a busy machine they take their time.
t.setTimeout(300_000)

const never = new AbortController().signal
const KEY = 'grail/checkpoints/checkpoint-900/FULL'

/** Weights of checkpoints 900, 930, 960 and 990. */
const weights = [someWeights(1)]
for (let i = 1; i < 4; i++) weights.push(trained(weights[i - 1]!, 10 + i))
const [w900, w930, w960, w990] = weights as [Weights, Weights, Weights, Weights]

function emptyBucket(t: { testdir(): string }): { bucket: Bucket; folder: string } {
  const folder = t.testdir()
  return { bucket: openDirBucket({ folder: join(folder, 'bucket'), create: true }), folder: join(folder, 'cache') }
}

/** Compares a cached folder with what a FULL download of these weights gives, but for what says where it is from. */
function holds(t: Test, folder: string, expected: Weights): void {
  const {
    [SEAL_FILE]: _seal,
    [DESCRIPTION_FILE]: _description,
    'metadata.json': _metadata,
    ...files
  } = contentOf(folder)
  const wanted = fullFiles(expected)
  t.same(new Set(Object.keys(files)), new Set(Object.keys(wanted)))
  for (const [path, bytes] of Object.entries(wanted)) t.ok(files[path]?.equals(bytes), path)
}

/** Names in the cache but its locks. */
function cached(folder: string): string[] {
  return readdirSync(folder).filter(name => name !== '.locks')
}

await t.test('a FULL checkpoint comes with every file of its manifest, verified, and nothing else', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishFull(bucket, 900, w900)
  const pointer = await published(bucket, 900)
  const cache = host(folder, bucket)
  const found = await cache.ensure(pointer, never)
  t.equal(found.folder, join(folder, 'checkpoint-900'))
  t.equal(found.weightsHash, await weightsHash(w900, GRAIL_V5))
  t.same(found.metadata, pointer.metadata)
  holds(t, found.folder, w900)
  t.same(cached(folder), ['checkpoint-900'])
  t.same(await readCheckpoint(found.folder, GRAIL_V5), { metadata: pointer.metadata, folder: found.folder })
  t.match(cache.told.at(-1), { kind: 'ready', window: 900, from: 'FULL' })
  const loads = cache.told.filter(({ kind }) => kind === 'downloading') as { done: number; total: number }[]
  t.equal(loads[0]!.done, 0)
  t.equal(loads.at(-1)!.done, loads.at(-1)!.total)
})

await t.test('what is there is not fetched again, by this process or the next', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishFull(bucket, 900, w900)
  const pointer = await published(bucket, 900)
  await host(folder, bucket).ensure(pointer, never)
  const cache = host(folder, 'there is no bucket any more')
  t.match(await cache.ensure(pointer, never), { folder: join(folder, 'checkpoint-900') })
  t.same(cache.told, [])
})

for (const version of DELTA_VERSIONS)
  await t.test(`a delta of version ${version} is put on the cached checkpoint before it`, async t => {
    const { bucket, folder } = emptyBucket(t)
    await publishFull(bucket, 900, w900)
    await host(folder, bucket).ensure(await published(bucket, 900), never)
    await publishDelta(bucket, 930, { previous: 900, from: w900, to: w930, version })
    const pointer = await published(bucket, 930)
    const seen = watched(bucket)
    const cache = host(folder, seen)
    const found = await cache.ensure(pointer, never)
    t.equal(found.weightsHash, pointer.metadata.weightsHash)
    holds(t, found.folder, w930)
    t.same(
      seen.gets.filter(key => !key.includes('metadata.json')),
      ['checkpoint-930/DELTA/delta_sparse.bin.zst'],
      'only the delta was fetched',
    )
    t.match(cache.told.at(-1), { kind: 'ready', window: 930, from: 'DELTA' })
    t.same(cached(folder), ['checkpoint-900', 'checkpoint-930'])
    const { metadata } = (await readCheckpoint(found.folder, GRAIL_V5)) as { metadata: object }
    t.same(metadata, pointer.metadata, 'the folder describes itself')
  })

/** FULL 900 and deltas 930, 960, 990 in different formats. */
async function publishChain(bucket: Bucket): Promise<void> {
  await publishFull(bucket, 900, w900)
  await publishDelta(bucket, 930, { previous: 900, from: w900, to: w930, version: 2 })
  await publishDelta(bucket, 960, { previous: 930, from: w930, to: w960, version: 3 })
  await publishDelta(bucket, 990, { previous: 960, from: w960, to: w990, version: 31 })
}

await t.test('a chain of deltas is followed back to its anchor and put on it, oldest first', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishChain(bucket)
  const cache = host(folder, bucket)
  const found = await cache.ensure(await published(bucket, 990), never)
  holds(t, found.folder, w990)
  t.match(
    cache.told.filter(({ kind }) => kind === 'assembling'),
    [{ window: 990, base: 900, deltas: 3 }],
  )
  t.same(cached(folder), ['checkpoint-900', 'checkpoint-990'])
})

await t.test('the walk back ends at the newest cached checkpoint, also one that was put together', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishChain(bucket)
  await host(folder, bucket).ensure(await published(bucket, 930), never)
  const cache = host(folder, bucket)
  holds(t, (await cache.ensure(await published(bucket, 990), never)).folder, w990)
  t.match(
    cache.told.filter(({ kind }) => kind === 'assembling'),
    [{ base: 930, deltas: 2 }],
  )
})

await t.test('where both forms are published the one that costs less is taken', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishChain(bucket)
  await publishFull(bucket, 990, w990)
  const cold = host(folder, bucket)
  holds(t, (await cold.ensure(await published(bucket, 990), never)).folder, w990)
  t.match(cold.told.at(-1), { kind: 'ready', from: 'FULL' }, 'nothing is cached: no chain')
  const warm = host(`${folder}-warm`, bucket)
  await warm.ensure(await published(bucket, 960), never)
  holds(t, (await warm.ensure(await published(bucket, 990), never)).folder, w990)
  t.match(warm.told.at(-1), { kind: 'ready', window: 990, from: 'DELTA' }, 'the one before is cached')
})

await t.test('a FULL form that is still being uploaded is done without', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishChain(bucket)
  const missing = { replace: { 'model-00002-of-00002.safetensors': undefined } }
  await publishFull(bucket, 990, w990, missing)
  await publishFull(bucket, 960, w960, missing)
  const cache = host(folder, bucket)
  holds(t, (await cache.ensure(await published(bucket, 990), never)).folder, w990)
  t.match(
    cache.told.filter(({ kind }) => kind === 'assembling'),
    [{ base: 900, deltas: 3 }],
  )
  t.same(cached(folder), ['checkpoint-900', 'checkpoint-990'])
})

await t.test('an object that is removed after it was listed is one that is not there', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishChain(bucket)
  await publishFull(bucket, 990, w990)
  const gone = new BucketError('no-such-key', 'it is gone', 'never')
  const seen = watched(bucket, key => (key.includes('checkpoint-990/FULL/model') ? gone : undefined))
  const cache = host(folder, seen)
  holds(t, (await cache.ensure(await published(bucket, 990), never)).folder, w990)
  t.match(cache.told.at(-1), { kind: 'ready', from: 'DELTA' }, 'the other way is taken')
})

await t.test('a folder that cannot be used is said to be so', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishFull(bucket, 900, w900)
  const pointer = await published(bucket, 900)
  writeFileSync(folder, 'a file')
  await t.rejects(host(folder, bucket).ensure(pointer, never), {
    code: 'disk',
    next: 'never',
    message: /the checkpoint cache .*: something else lies where it should be: remove it.*\(EEXIST\)/,
  })
  await t.rejects(host(join(folder, 'below'), bucket).ensure(pointer, never), { code: 'disk', message: /ENOTDIR/ })
})

await t.test('an abort ends it with its reason wherever it is', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishChain(bucket)
  const pointer = await published(bucket, 960)
  const reason = new Error('shutdown')
  const steps: CacheProgress['kind'][] = ['downloading', 'assembling']
  for (const step of steps) {
    const over = new AbortController()
    const onProgress = ({ kind }: CacheProgress) => kind === step && over.abort(reason)
    await t.rejects(host(folder, bucket, { onProgress }).ensure(pointer, over.signal), reason, step)
    await t.rejects(host(folder, bucket).ensure(pointer, over.signal), reason, 'and before it begins')
  }
  holds(t, (await host(folder, bucket).ensure(pointer, never)).folder, w960)
})

await t.test('what is mined comes from the bucket, whatever the cached folder says', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishFull(bucket, 900, w900, { metadata: { weights_hash: await weightsHash(w900, GRAIL_V5) } })
  await host(folder, bucket).ensure(await published(bucket, 900), never)
  const now = { weights_hash: await weightsHash(w900, GRAIL_V5), env_id: 'mbpp' }
  await publishFull(bucket, 900, w900, { metadata: now })
  const seen = watched(bucket)
  const found = await host(folder, seen).ensure(await published(bucket, 900), never)
  t.match(found.metadata, { environment: 'mbpp' })
  t.same(seen.gets, [])
  t.match(
    await readCheckpoint(found.folder, GRAIL_V5),
    { metadata: { environment: 'gsm8k' } },
    'the folder is as it was',
  )
})

await t.test('what is at hand is what was asked for before, mined as the bucket then said', async t => {
  const { bucket, folder } = emptyBucket(t)
  const hash = await weightsHash(w900, GRAIL_V5)
  const metadata = { weights_hash: hash }
  await publishFull(bucket, 900, w900, { metadata })
  const wanted = { window: 900, modelName: 'async_trainer_snapshot', weightsHash: hash, environment: 'gsm8k' }
  const atHand = (of = wanted) => host(folder, 'the bucket is not asked').atHand(of)
  t.equal(await atHand(), undefined, 'nothing was asked for')
  const first = await host(folder, bucket).ensure(await published(bucket, 900), never)
  t.same(await atHand(), first)
  for (const other of [{ window: 930 }, { weightsHash: '' }, { modelName: 'm' }, { environment: 'mbpp' }])
    t.equal(await atHand({ ...wanted, ...other }), undefined, `not ${JSON.stringify(other)}`)
  // Validators read the DELTA form's metadata wherever there is one; the files came from the FULL form.
  const generation_params = { ...MINED.generation_params, temperature: 0.9 }
  await publishDelta(bucket, 900, { previous: 870, from: w930, to: w900 }, { metadata: { generation_params } })
  const second = await host(folder, bucket).ensure(await published(bucket, 900), never)
  t.match(second.metadata, { generation: { temperature: 0.9 } })
  t.same(await atHand(), second, 'the later word counts')
  writeFileSync(join(second.folder, DESCRIPTION_FILE), '{"window"')
  t.equal(await atHand(), undefined, 'half a word is none')
})

await t.test('a cached file that was touched is read again, and fetched anew when it is damaged', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishFull(bucket, 900, w900)
  const pointer = await published(bucket, 900)
  await host(folder, bucket).ensure(pointer, never)
  const file = join(folder, 'checkpoint-900', 'config.json')
  const content = readFileSync(file)

  writeFileSync(file, content)
  const same = host(folder, 'no bucket')
  await same.ensure(pointer, never)
  t.match(same.told, [{ kind: 'checking', window: 900 }])
  await same.ensure(pointer, never)
  t.equal(same.told.length, 1, 'once')

  content[3] = 0x20
  writeFileSync(file, content)
  const damaged = host(folder, bucket)
  holds(t, (await damaged.ensure(pointer, never)).folder, w900)
  t.match(damaged.told.slice(0, 2), [
    { kind: 'checking', window: 900 },
    { kind: 'damaged', window: 900, why: 'config.json is damaged' },
  ])

  writeFileSync(join(folder, 'checkpoint-900', 'more.safetensors'), 'would be loaded with the others')
  const strange = host(folder, bucket)
  holds(t, (await strange.ensure(pointer, never)).folder, w900)
  t.match(strange.told[1], { kind: 'damaged', why: 'more.safetensors is no file of it' })
})

await t.test('after a restart of the host every file is read again', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishFull(bucket, 900, w900)
  const pointer = await published(bucket, 900)
  await host(folder, bucket).ensure(pointer, never)
  const seal = join(folder, 'checkpoint-900', SEAL_FILE)
  writeFileSync(seal, JSON.stringify({ ...JSON.parse(readFileSync(seal, 'utf8')), boot: 'an earlier one' }))
  const cache = host(folder, 'no bucket')
  await cache.ensure(pointer, never)
  t.match(cache.told, [{ kind: 'checking', window: 900 }])
})

await t.test('a base that is not what its dates say is found by the result, removed, and replaced', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishChain(bucket)
  await host(folder, bucket).ensure(await published(bucket, 900), never)
  const base = join(folder, 'checkpoint-900')
  const name = 'model-00001-of-00002.safetensors'
  const bytes = readFileSync(join(base, name))
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
  writeFileSync(join(base, name), bytes)
  const seal = JSON.parse(readFileSync(join(base, SEAL_FILE), 'utf8'))
  const { ino, ctimeNs } = statSync(join(base, name), { bigint: true })
  seal.files[name].tag = `${ino}-${ctimeNs}`
  writeFileSync(join(base, SEAL_FILE), JSON.stringify(seal))

  const cache = host(folder, bucket)
  holds(t, (await cache.ensure(await published(bucket, 930), never)).folder, w930)
  t.match(
    cache.told.filter(({ kind }) => kind === 'damaged'),
    [{ window: 900, why: `${name} is damaged` }],
  )
  holds(t, base, w900)
})

await t.test('a trainer that starts over replaces checkpoints of the same windows', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishFull(bucket, 900, w900)
  await publishDelta(bucket, 930, { previous: 900, from: w900, to: w930 })
  const cache = host(folder, bucket)
  await cache.ensure(await published(bucket, 930), never)
  await publishFull(bucket, 900, w960)
  await publishDelta(bucket, 930, { previous: 900, from: w960, to: w990 })
  holds(t, (await cache.ensure(await published(bucket, 930), never)).folder, w990)
  holds(t, (await cache.ensure(await published(bucket, 900), never)).folder, w960)
})

await t.test('weights that are not those the trainer hashed are refused, and nothing of them stays', async t => {
  const { bucket, folder } = emptyBucket(t)
  const wrong = { metadata: { weights_hash: 'ab'.repeat(16) } }
  await publishFull(bucket, 900, w900)
  await publishDelta(bucket, 930, { previous: 900, from: w900, to: w930 }, wrong)
  await publishFull(bucket, 960, w960, wrong)
  const cache = host(folder, bucket)
  for (const window of [930, 960])
    await t.rejects(cache.ensure(await published(bucket, window), never), {
      name: 'CheckpointError',
      code: 'weights-hash',
      next: 'never',
      message: new RegExp(`checkpoint ${window} have the hash [0-9a-f]{32}, the trainer published abab`),
    })
  await cache.purge([])
  t.same(cached(folder), ['checkpoint-900'])
  t.same(
    cache.told.filter(({ kind }) => kind === 'damaged'),
    [],
    'the base was read again and is kept',
  )
})

await t.test(
  'what cannot be had is refused with a reason, the next move, and nothing left but the beginning',
  async t => {
    const none = { replace: { 'config.json': undefined } }
    const other = { replace: { 'config.json': Buffer.from('{"hidden_size":65}') } }
    const cases: [title: string, publish: (bucket: Bucket) => Promise<unknown>, window: number, error: object][] = [
      [
        'a file of the manifest is not there',
        bucket => publishFull(bucket, 900, w900, none),
        900,
        { code: 'absent', next: 'later', message: /FULL\/config\.json is not in .*\(yet\)/ },
      ],
      [
        'a file has other bytes',
        bucket => publishFull(bucket, 900, w900, other),
        900,
        { code: 'digest', next: 'later', message: /config\.json\.gz in .* does not have the sha256/ },
      ],
      [
        'a packed file is no gzip',
        async bucket => {
          await publishFull(bucket, 900, w900)
          await bucket.put(`${KEY}/config.json.gz`, Buffer.from('{"hidden_size":64}'), never)
        },
        900,
        { code: 'digest' },
      ],
      [
        'weights are no safetensors file',
        bucket => publishFull(bucket, 900, new Map([['a', { type: 'float32', shape: [2], bytes: new Uint8Array(4) }]])),
        900,
        { code: 'malformed', next: 'never', message: /a in model-00001-of-00002\.safetensors has 4 bytes/ },
      ],
      [
        'a delta without a hash to check against',
        async bucket => {
          await publishFull(bucket, 900, w900)
          await publishDelta(bucket, 930, { previous: 900, from: w900, to: w930 }, { metadata: { weights_hash: null } })
        },
        930,
        { code: 'malformed', next: 'never', message: /delta 930 has no weights_hash/ },
      ],
      [
        'a delta of another model',
        async bucket => {
          const grown = someWeights(1, 2)
          await publishFull(bucket, 900, w900)
          await publishDelta(bucket, 930, { previous: 900, from: grown, to: trained(grown, 3) })
        },
        930,
        {
          code: 'malformed',
          message: /delta of 930: the delta takes model\.embed_tokens\.weight for bfloat16\[600,64\]/,
        },
      ],
      [
        'a delta of another version than it says',
        async bucket => {
          await publishFull(bucket, 900, w900)
          await publishDelta(bucket, 930, { previous: 900, from: w900, to: w930, version: 3 })
          const key = 'grail/checkpoints/checkpoint-930/DELTA'
          const files = { 'delta_metadata.json': Buffer.from('{"format":"sparse_codec_v2"}') }
          const json = (await published(bucket, 930)).delta!.json as { file_manifest: Record<string, string> }
          json.file_manifest['delta_metadata.json'] = sha256(files['delta_metadata.json'])
          await bucket.remove(`${key}/delta_metadata.json.gz`, never)
          await bucket.remove(`${key}/metadata.json.gz`, never)
          await bucket.put(`${key}/delta_metadata.json`, files['delta_metadata.json'], never)
          await bucket.put(`${key}/metadata.json`, Buffer.from(JSON.stringify(json)), never)
        },
        930,
        { code: 'malformed', message: /format version 3, its metadata says 2/ },
      ],
      [
        'a delta that names no predecessor',
        bucket =>
          publishDelta(bucket, 930, { previous: 900, from: w900, to: w930 }, { metadata: { prev_window: null } }),
        930,
        { code: 'chain', next: 'never', message: /delta 930 names nothing as the checkpoint it builds on/ },
      ],
      [
        'a delta that builds on itself',
        bucket => publishDelta(bucket, 930, { previous: 930, from: w900, to: w930 }),
        930,
        { code: 'chain', next: 'never', message: /delta 930 names 930/ },
      ],
      [
        'a chain whose beginning is gone',
        bucket => publishDelta(bucket, 930, { previous: 900, from: w900, to: w930 }),
        930,
        { code: 'chain', next: 'later', message: /checkpoint 900, which it builds on, is not published any more/ },
      ],
      [
        'a chain on a base that cannot be had',
        async bucket => {
          await publishFull(bucket, 900, w900, other)
          await publishDelta(bucket, 930, { previous: 900, from: w900, to: w930 })
        },
        930,
        { code: 'chain', next: 'later', message: /checkpoint 900, which it builds on, cannot be had: .*sha256/ },
      ],
    ]
    for (const [title, publish, window, error] of cases) {
      const folder = t.testdir()
      const bucket = openDirBucket({ folder: join(folder, 'bucket'), create: true })
      await publish(bucket)
      const cache = host(join(folder, 'cache'), bucket)
      await t.rejects(
        cache.ensure(await published(bucket, window), never),
        { name: 'CheckpointError', ...error },
        title,
      )
      t.notOk(cached(join(folder, 'cache')).includes(`checkpoint-${window}`), title)
      await cache.purge([])
      t.notOk(
        cached(join(folder, 'cache')).some(name => name.endsWith('.partial')),
        title,
      )
    }
  },
)

await t.test('a manifest that leads out of the folder is refused before anything is fetched', async t => {
  const paths = [
    '../x',
    'a/../../x',
    '/etc/cron.d/x',
    './config.json',
    'a//b',
    'a/',
    '',
    '..',
    'a\\..\\..\\x',
    'a\u0000b',
    'metadata.json',
    SEAL_FILE,
    DESCRIPTION_FILE,
    `${'n'.repeat(201)}`,
    'a/b/c/d/e/f/g/h/i',
  ]
  for (const path of paths) {
    const folder = t.testdir()
    const bucket = openDirBucket({ folder: join(folder, 'bucket'), create: true })
    await publishFull(bucket, 900, w900, {
      metadata: { file_manifest: { 'config.json': 'ab'.repeat(32), [path]: 'ab'.repeat(32) } },
    })
    const pointer = await published(bucket, 900)
    const seen = watched(bucket)
    await t.rejects(
      host(join(folder, 'cache'), seen).ensure(pointer, never),
      { code: 'unsafe-path', next: 'never', message: /the manifest names .*, which is refused: / },
      JSON.stringify(path),
    )
    t.same(seen.gets, [])
    t.same(readdirSync(folder).sort(), ['bucket', 'cache'])
  }
  const { bucket, folder } = emptyBucket(t)
  await publishFull(bucket, 900, w900, { metadata: { file_manifest: { a: 'ab'.repeat(32), 'a/b': 'ab'.repeat(32) } } })
  await t.rejects(host(folder, bucket).ensure(await published(bucket, 900), never), /"a" as file and as folder/)
})

await t.test('an object that was replaced while it was fetched is fetched again', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishFull(bucket, 900, w900, { packed: false })
  const pointer = await published(bucket, 900)
  const right = readFileSync(join(folder, '..', 'bucket', KEY, 'config.json'))
  await bucket.put(`${KEY}/config.json`, Buffer.alloc(right.length, 'x'), never)
  let gets = 0
  const seen = watched(bucket, key => {
    if (key.endsWith('/config.json')) gets++
    return undefined
  })
  const mended: Bucket = {
    ...seen,
    async get(key, signal, range) {
      const bytes = await seen.get(key, signal, range)
      if (key.endsWith('/config.json') && gets === 1) await bucket.put(key, right, never)
      return bytes
    },
  }
  holds(t, (await host(folder, mended).ensure(pointer, never)).folder, w900)
  t.equal(gets, 2)
})

await t.test('a bucket that is not there now is said to be so, and what is cached is still had', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishFull(bucket, 900, w900)
  const pointer = await published(bucket, 900)
  await t.rejects(host(folder, 'the trainer has committed no bucket').ensure(pointer, never), {
    code: 'no-bucket',
    next: 'later',
    message: 'the trainer has committed no bucket',
  })
  const denied = new BucketError('access-denied', 'the key was taken back', 'never')
  await t.rejects(
    host(
      folder,
      watched(bucket, () => denied),
    ).ensure(pointer, never),
    denied,
  )
  await t.rejects(host(folder, bucket).ensure({ ...pointer, full: undefined }, never), { code: 'absent' })
})

await t.test('a checkpoint without weights is one of files alone', async t => {
  const { bucket, folder } = emptyBucket(t)
  await publishForm(bucket, 900, 'FULL', { 'tokenizer.json': Buffer.from('{}'), empty: Buffer.alloc(0) }, {})
  const pointer = await published(bucket, 900)
  const found = await host(folder, bucket).ensure(pointer, never)
  t.equal(found.weightsHash, '')
  t.equal(statSync(join(found.folder, 'empty')).size, 0)
  await host(folder, 'no bucket').ensure(pointer, never)
})

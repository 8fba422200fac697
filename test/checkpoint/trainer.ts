import t from 'tap'
import { type Bucket, BucketError } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { readyMarkerKey } from '../../src/checkpoint/paths.js'
import { type TrainerSource, trainerSource } from '../../src/checkpoint/trainer.js'
import { FORK_V1, GRAIL_V5 } from '../../src/protocol/profile.js'
import { MINED, publishDelta, publishForm, publishFull, someWeights, trained } from './helpers/publisher.js'

const never = new AbortController().signal

/** A clock that only waiting moves on. */
function clock() {
  let nowMs = 0
  return {
    now: () => nowMs,
    random: () => 0.5,
    wait: async (ms: number) => {
      nowMs += ms
    },
  }
}

function sourceOf(bucket: Bucket | string, profile = GRAIL_V5, pace = clock()): TrainerSource {
  return trainerSource({ ...pace, bucket: async () => bucket, profile })
}

function emptyBucket(t: { testdir(): string }): Bucket {
  return openDirBucket({ folder: t.testdir(), create: true })
}

const nine = someWeights(1)
const ten = trained(nine, 2)

t.test('the newest checkpoint that was READY before the window is described by its own metadata', async t => {
  const bucket = emptyBucket(t)
  await publishFull(bucket, 900, nine, { ready: 900 })
  await publishDelta(bucket, 930, { previous: 900, from: nine, to: ten }, { ready: 960 })
  const source = sourceOf(bucket)
  for (const [window, expected] of [
    [930, 900],
    [960, 900],
    [990, 930],
  ] as const) {
    const found = await source.latest(window, never)
    t.match(found, { window: expected, metadata: { window: expected, environment: 'gsm8k' } }, `for window ${window}`)
  }
  const found = await source.latest(990, never)
  t.match(found, { full: undefined, delta: { kind: 'DELTA', files: { previousWindow: 900, anchorWindow: 900 } } })
})

t.test('metadata is read packed or plain, and packed goes first', async t => {
  const bucket = emptyBucket(t)
  await publishForm(bucket, 900, 'FULL', {}, { ready: 900, packed: false, metadata: { env_id: 'mbpp' } })
  t.match(await sourceOf(bucket).latest(930, never), { metadata: { environment: 'mbpp' } })
  await publishForm(bucket, 900, 'FULL', {}, { metadata: { env_id: 'math' } })
  t.match(await sourceOf(bucket).latest(930, never), { metadata: { environment: 'math' } })
})

t.test('where both forms are published, what is mined is what validators read: the DELTA’s metadata', async t => {
  const bucket = emptyBucket(t)
  await publishFull(bucket, 900, ten, { ready: 900, metadata: { env_id: 'mbpp' } })
  await publishDelta(bucket, 900, { previous: 870, from: nine, to: ten }, { metadata: { env_id: 'math' } })
  t.match(await sourceOf(bucket).latest(930, never), {
    metadata: { environment: 'math', weightsHash: /^[0-9a-f]{32}$/ },
    full: { kind: 'FULL' },
    delta: { kind: 'DELTA' },
  })
})

t.test('a FULL form that cannot be read is done without where there is a DELTA', async t => {
  const bucket = emptyBucket(t)
  await publishDelta(bucket, 900, { previous: 870, from: nine, to: ten }, { ready: 900 })
  await bucket.put('grail/checkpoints/checkpoint-900/FULL/metadata.json', Buffer.from('{"window":'), never)
  t.match(await sourceOf(bucket).latest(930, never), { window: 900, full: undefined, delta: { kind: 'DELTA' } })
})

t.test('why there is no checkpoint is said in a sentence', async t => {
  const key = 'grail/checkpoints/checkpoint-900/FULL/metadata.json'
  const metadata = (over: object) => ({ window: 900, file_manifest: {}, ...MINED, ...over })
  const cases: [title: string, said: RegExp, content: object | string | undefined][] = [
    ['nothing but a marker', /checkpoint 900 in .* has no metadata\.json: nothing is mined/, undefined],
    ['no JSON', /metadata\.json in .*: it is not JSON/, '{"window":'],
    ['a list', /it is no JSON object/, []],
    ['no manifest', /file_manifest: /, metadata({ file_manifest: undefined })],
    ['another window', /it describes checkpoint 870/, metadata({ window: 870 })],
    ['another form', /it describes a DELTA checkpoint/, metadata({ checkpoint_type: 'DELTA' })],
    ['no environment', /lacks env_id/, metadata({ env_id: null })],
    ['an unknown environment', /"chess"; validators of grail-v5 know sat/, metadata({ env_id: 'chess' })],
    [
      'a bad temperature',
      /temperature is 9/,
      metadata({ generation_params: { ...MINED.generation_params, temperature: 9 } }),
    ],
    ['too much', /more than the \d+ it may have/, ' '.repeat(16 * 1024 * 1024 + 1)],
  ]
  for (const [title, said, content] of cases) {
    const bucket = openDirBucket({ folder: t.testdir(), create: true })
    await bucket.put(readyMarkerKey(900, 900), new Uint8Array(), never)
    if (content !== undefined)
      await bucket.put(key, Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)), never)
    t.match(await sourceOf(bucket).latest(930, never), said, title)
    if (content !== undefined) t.match(await sourceOf(bucket).at(900, never), said, title)
  }
  const bucket = emptyBucket(t)
  t.match(await sourceOf(bucket).latest(930, never), /no checkpoint in .* was READY before window 930/)
  await bucket.put(`${key}.gz`, Buffer.from('not gzip'), never)
  t.match(await sourceOf(bucket).at(900, never), /metadata\.json\.gz in .*: it cannot be unpacked/)
  t.equal(
    await sourceOf('the trainer has committed no bucket yet').latest(930, never),
    'the trainer has committed no bucket yet',
  )
  t.match(
    await sourceOf(openDirBucket({ folder: '/nowhere' })).latest(930, never),
    /cannot be read: .*nowhere.*; check/,
  )
})

t.test('a checkpoint is found by its own window', async t => {
  const bucket = emptyBucket(t)
  await publishFull(bucket, 900, nine, { ready: 900 })
  await publishFull(bucket, 930, ten, { ready: 930 })
  t.match(await sourceOf(bucket).at(900, never), { window: 900 })
  t.match(await sourceOf(bucket).at(870, never), /checkpoint 870 in .* has no metadata/)
})

t.test('a marker that comes late makes another checkpoint the latest, and only such a one', async t => {
  const bucket = emptyBucket(t)
  await publishFull(bucket, 900, nine, { ready: 900 })
  const source = sourceOf(bucket)
  t.match(await source.latest(960, never), { window: 900 })
  await publishDelta(bucket, 930, { previous: 900, from: nine, to: ten }, { ready: 960 })
  t.match(await source.latest(960, never), { window: 900 }, 'READY in the window itself')
  // The trainer took the block number before the window began, and wrote the marker after.
  await bucket.put(readyMarkerKey(930, 930), new Uint8Array(), never)
  t.match(await source.latest(960, never), { window: 930 })
})

t.test('that the trainer names no bucket is a sentence', async t => {
  t.match(await sourceOf('no commitment').latest(960, never), /no commitment/)
})

t.test('a bucket that answers later is asked again, for a while', async t => {
  const bucket = emptyBucket(t)
  await publishFull(bucket, 900, nine, { ready: 900 })
  const throttled = new BucketError('throttled', 'slow down', 'later')
  let refusals = 3
  const busy: Bucket = {
    ...bucket,
    list(prefix, signal) {
      if (refusals-- > 0) throw throttled
      return bucket.list(prefix, signal)
    },
  }
  t.match(await sourceOf(busy).latest(930, never), { window: 900 })
  t.equal(refusals, -1)

  const pace = clock()
  const refusing: Bucket = {
    ...bucket,
    get: async () => {
      throw throttled
    },
  }
  const source = sourceOf(refusing, GRAIL_V5, pace)
  t.match(await source.latest(930, never), /cannot be read: slow down; it is asked again at the next window/)
  t.ok(pace.now() > 10_000 && pace.now() <= 20_000, `given up after ${pace.now()} ms`)
})

t.test('an abort ends the question with its reason', async t => {
  const over = new AbortController()
  const reason = new Error('shutdown')
  const bucket: Bucket = {
    ...emptyBucket(t),
    list(_prefix, signal) {
      over.abort(reason)
      signal.throwIfAborted()
      throw new Error('not reached')
    },
  }
  await t.rejects(sourceOf(bucket).latest(930, over.signal), reason)
  await t.rejects(sourceOf(bucket).at(900, over.signal), reason)
})

t.test('a bucket that is not a trainer’s is left after a bounded listing', async t => {
  const bucket: Bucket = {
    ...emptyBucket(t),
    async *list() {
      for (let i = 0; ; i++)
        yield { key: `grail/checkpoints/${i}`, bytes: 0, etag: '', lastModifiedMs: 0, metadata: {} }
    },
  }
  t.match(await sourceOf(bucket).latest(930, never), /more than 20000 objects .*: is this the trainer's bucket\?/)
})

t.test('metadata is fetched once as long as it stays the same', async t => {
  const bucket = emptyBucket(t)
  await publishFull(bucket, 900, nine, { ready: 900 })
  let fetched = 0
  const counting: Bucket = {
    ...bucket,
    get(key, signal, range) {
      fetched++
      return bucket.get(key, signal, range)
    },
  }
  const source = sourceOf(counting)
  for (let i = 0; i < 3; i++) t.match(await source.latest(930, never), { metadata: { environment: 'gsm8k' } })
  t.equal(fetched, 1)
  await publishFull(bucket, 900, nine, { metadata: { env_id: 'mbpp' } })
  t.match(await source.latest(930, never), { metadata: { environment: 'mbpp' } })
  t.equal(fetched, 2)
})

t.test('the profile decides which environments can be mined', async t => {
  const bucket = emptyBucket(t)
  await publishFull(bucket, 900, nine, {
    ready: 900,
    metadata: { generation_params: { ...MINED.generation_params, max_tokens: 5000 } },
  })
  t.match(await sourceOf(bucket, FORK_V1).latest(930, never), { metadata: { generation: { maxTokens: 2048 } } })
})

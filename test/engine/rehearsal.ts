import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import t from 'tap'
import type { Checkpoint, GenerationParams } from '../../src/checkpoint/metadata.js'
import type { EngineError, GroupReply, GroupRequest, VerifyRequest } from '../../src/engine/engine.js'
import { rehearsalCheckpoint } from '../../src/engine/rehearsal/checkpoint.js'
import { rehearsalEngine } from '../../src/engine/rehearsal.js'
import { packageRoot } from '../../src/package-root.js'
import { FORK_V1, GRAIL_V5, PRIME_Q } from '../../src/protocol/profile.js'

const tokenizerFolder = join(packageRoot, 'node_modules', '@lenml', 'tokenizer-qwen2_5', 'models')
const generation: GenerationParams = { maxTokens: 700, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 }
const coefficients = Int8Array.from({ length: 16 }, (_, j) => 17 * j - 127)
const never = new AbortController().signal

const folder = await mkdtemp(join(tmpdir(), 'rehearsal-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
const checkpoint: Checkpoint = await rehearsalCheckpoint({
  folder: join(folder, 'checkpoint'),
  tokenizerFolder,
  window: 60,
  environment: 'gsm8k',
  environmentParams: { split: 'test' },
  generation,
  thinkingMode: 'instructed',
})

function ask(changes: Partial<GroupRequest> = {}): GroupRequest {
  return {
    profile: 'grail-v5',
    checkpointWindow: 60,
    promptIds: Int32Array.from({ length: 120 }, (_, i) => 1000 + 31 * i),
    groupSize: 16,
    generation,
    coefficients,
    deadlineMs: Number.MAX_SAFE_INTEGER,
    seed: 7,
    ...changes,
  }
}

function replay(request: GroupRequest, group: GroupReply, rollout: number): VerifyRequest {
  const { profile, checkpointWindow, promptIds } = request
  const tokens = Int32Array.from([...promptIds, ...group.completions[rollout]!.completionIds])
  return { profile, checkpointWindow, tokens, promptLength: promptIds.length, coefficients, generation }
}

const engine = rehearsalEngine()
const model = await engine.start(checkpoint, never)
const request = ask()
const group = await engine.generate(request, never)

t.strictSame(
  model,
  {
    checkpointWindow: 60,
    modelName: 'rehearsal',
    weightsHash: '',
    eosTokenId: 151_645,
    vocabSize: 151_665,
    maxPositions: 131_072,
  },
  'the model is what the tokenizer files say',
)

const { distribution: limits } = GRAIL_V5
type Invariant = (completion: GroupReply['completions'][number], parameters: GenerationParams) => boolean
const invariants: [string, Invariant][] = [
  ['is at least as long as the shortest a validator takes', c => c.completionIds.length >= GRAIL_V5.minCompletion],
  ['is at most max_tokens long', (c, g) => c.completionIds.length <= g.maxTokens],
  [
    'ends by EOS, or by length at exactly max_tokens',
    (c, g) =>
      c.finish === 'eos' ? c.completionIds.at(-1) === model.eosTokenId : c.completionIds.length === g.maxTokens,
  ],
  ['has EOS nowhere before its end', c => !c.completionIds.subarray(0, -1).includes(model.eosTokenId)],
  ['has only ids of the vocabulary', c => c.completionIds.every(id => id >= 0 && id < model.vocabSize)],
  [
    'has a sketch in [0, q) for every position, prompt included',
    c => c.sketches.length === 120 + c.completionIds.length && c.sketches.every(s => s >= 0 && s < PRIME_Q),
  ],
  [
    'has a finite log-probability ≤ 0 for every token',
    c => c.logprobs.length === c.completionIds.length && c.logprobs.every(lp => Number.isFinite(lp) && lp <= 0),
  ],
  [
    'says the probability of EOS when it ended by it, and only then',
    c =>
      c.finish === 'eos'
        ? c.eosProbability >= GRAIL_V5.minEosProbability &&
          Math.abs(Math.log(c.eosProbability) - c.logprobs.at(-1)!) < 1e-6
        : Number.isNaN(c.eosProbability),
  ],
  [
    'passes the distribution check',
    ({ distribution: d }) =>
      d.median > limits.medianMin &&
      d.q10 > limits.q10Min &&
      d.q10First50 > limits.q10Min &&
      d.min > limits.minProbability,
  ],
]
const parameters: [string, Partial<GenerationParams>][] = [
  ['the usual parameters', {}],
  ['no temperature', { temperature: 1 }],
  ['the coldest temperature', { temperature: 0.01 }],
  ['the hottest temperature', { temperature: 2 }],
  ['a repetition penalty', { repetitionPenalty: 1.3 }],
  ['the smallest max_tokens', { maxTokens: 32 }],
  ['the largest max_tokens', { maxTokens: 8192 }],
]
for (const [title, change] of parameters) {
  const g = { ...generation, ...change }
  const groups = await Promise.all([1, 2, 3].map(seed => engine.generate(ask({ generation: g, seed }), never)))
  const completions = groups.flatMap(each => each.completions)
  for (const [rule, holds] of invariants)
    t.equal(completions.filter(c => !holds(c, g)).length, 0, `with ${title}, every completion ${rule}`)
}

await t.test('a group', async t => {
  const finishes = await Promise.all(
    Array.from({ length: 20 }, (_, seed) => engine.generate(ask({ seed }), never)),
  ).then(groups => groups.flatMap(each => each.completions.map(c => c.finish)))
  const byEos = finishes.filter(finish => finish === 'eos').length
  t.ok(byEos > finishes.length * 0.85 && byEos < finishes.length, 'ends mostly by EOS, some by length')
  t.equal(new Set(group.completions.map(c => c.completionIds.join())).size, 16, 'has sixteen different completions')
  t.strictSame(
    (await engine.generate(request, never)).completions,
    group.completions,
    'is the same when asked for again',
  )
  t.strictSame(
    (await engine.generate(ask({ groupSize: 4 }), never)).completions,
    group.completions.slice(0, 4),
    'does not depend on how many siblings a rollout has',
  )
})

await t.test('the numbers follow from the request', async t => {
  const ids = (reply: GroupReply) => reply.completions.map(c => c.completionIds.join()).join(';')
  const sketches = (reply: GroupReply) => reply.completions.map(c => c.sketches.join()).join(';')
  const cases: [string, Partial<GroupRequest>, 'ids' | 'sketches'][] = [
    ['another seed gives other completions', { seed: 8 }, 'ids'],
    ['another prompt gives other completions', { promptIds: request.promptIds.map(id => id + 1) }, 'ids'],
    ['another max_tokens gives other completions', { generation: { ...generation, maxTokens: 300 } }, 'ids'],
    ['other coefficients give other sketches', { coefficients: coefficients.map(c => -c) }, 'sketches'],
  ]
  for (const [title, change, what] of cases) {
    const other = await engine.generate(ask(change), never)
    t.not(what === 'ids' ? ids(other) : sketches(other), what === 'ids' ? ids(group) : sketches(group), title)
  }
  const otherEngine = rehearsalEngine({ seed: 1 })
  await otherEngine.start(checkpoint, never)
  t.not(ids(await otherEngine.generate(request, never)), ids(group), 'another engine seed gives other completions')
})

await t.test('a replay', async t => {
  for (const rollout of [0, 5, 15]) {
    const { completionIds, finish, ...numbers } = group.completions[rollout]!
    t.strictSame(await engine.verify(replay(request, group, rollout), never), numbers, `of rollout ${rollout} is exact`)
  }
  const asked = replay(request, group, 0)
  const honest = await engine.verify(asked, never)
  const wrong = await engine.verify({ ...asked, coefficients: coefficients.map(c => (c === 9 ? 10 : c)) }, never)
  t.notSame(wrong.sketches, honest.sketches, 'under other coefficients has other sketches')
  t.same(wrong.logprobs, honest.logprobs, 'under other coefficients has the same log-probabilities')
  const tokens = asked.tokens.slice()
  tokens[3]! += 1
  const changed = await engine.verify({ ...asked, tokens }, never)
  t.same(changed.sketches.subarray(0, 3), honest.sketches.subarray(0, 3), 'agrees before a changed token')
  t.not(changed.sketches.at(-1), honest.sketches.at(-1), 'differs at the end when a prompt token was changed')
})

await t.test('completions decode to text with answers', async t => {
  const read = async (file: string): Promise<object> =>
    JSON.parse(await readFile(join(tokenizerFolder, file), 'utf8')) as object
  const tokenizer = new Tokenizer(await read('tokenizer.json'), await read('tokenizer_config.json'))
  const texts = group.completions.map(c => tokenizer.decode([...c.completionIds], { skip_special_tokens: false }))
  const answered = texts.filter(text => /<\/end_working_out>\n<SOLUTION>\d{1,3}<\/SOLUTION><\|im_end\|>$/.test(text))
  t.ok(answered.length > 0 && answered.length < 16, 'some give a number between the tags, some do not')
  t.notOk(
    texts.some(text => text.includes('\uFFFD')),
    'no character is cut in half',
  )

  const sat = rehearsalEngine()
  await sat.start({ ...checkpoint, metadata: { ...checkpoint.metadata, environment: 'sat' } }, never)
  const bits = (await sat.generate(request, never)).completions.map(c =>
    tokenizer.decode([...c.completionIds], { skip_special_tokens: false }),
  )
  t.ok(
    bits.some(text => /<SOLUTION>[01]( [01]){5,9}<\/SOLUTION>/.test(text)),
    'sat is answered by bits',
  )
})

await t.test('a pace', async t => {
  const asked: number[] = []
  const paced = (now = 0) =>
    rehearsalEngine({
      paceMs: 10_000,
      clock: {
        now: () => now,
        wait: async (ms, signal) => {
          signal.throwIfAborted()
          asked.push(ms)
          now += ms
        },
      },
    })
  const slow = paced()
  await slow.start(checkpoint, never)
  const replies = await Promise.all([1, 2, 3, 4].map(seed => slow.generate(ask({ seed }), never)))
  t.ok(
    asked.every(ms => ms >= 8_000 && ms <= 12_000),
    'takes the given time ± 20 %',
  )
  t.equal(new Set(asked).size, 4, 'differs from group to group')
  t.ok(replies[0]!.seconds.generate >= 8, 'is reported as generation time')
  const late = paced(0)
  await late.start(checkpoint, never)
  await t.rejects(
    late.generate(ask({ deadlineMs: 5_000 }), never),
    { name: 'EngineError', next: 'deadline' },
    'past the deadline is given up as such',
  )
  t.equal(asked.at(-1), 5_000, 'is given up at the deadline, not after the whole time')
  const aborted = new AbortController()
  const reason = new Error('the window was skipped')
  const real = rehearsalEngine({ paceMs: 60_000 })
  await real.start(checkpoint, never)
  const pending = real.generate(ask(), aborted.signal)
  aborted.abort(reason)
  await t.rejects(pending, reason, 'ends at once when the signal is aborted, with its reason')
})

await t.test('what it refuses', async t => {
  const cases: [string, Partial<GroupRequest>, EngineError['next']][] = [
    ['another profile', { profile: 'fork-v1' }, 'never'],
    ['another checkpoint', { checkpointWindow: 90 }, 'never'],
    ['too few coefficients', { coefficients: new Int8Array(15) }, 'never'],
    ['an empty prompt', { promptIds: new Int32Array() }, 'never'],
    ['an id outside the vocabulary', { promptIds: Int32Array.of(5, 151_665) }, 'never'],
    ['a negative id', { promptIds: Int32Array.of(-1) }, 'never'],
    ['a prompt that leaves no room for max_tokens', { promptIds: new Int32Array(131_072 - 699) }, 'never'],
    ['max_tokens under the shortest completion', { generation: { ...generation, maxTokens: 31 } }, 'never'],
    ['an empty group', { groupSize: 0 }, 'never'],
    ['a deadline in the past', { deadlineMs: 1 }, 'deadline'],
  ]
  for (const [title, change, next] of cases)
    await t.rejects(engine.generate(ask(change), never), { name: 'EngineError', next }, `${title} → ${next}`)
  await t.resolves(
    engine.generate(ask({ promptIds: new Int32Array(131_072 - 700) }), never),
    'a prompt that just fits is taken',
  )
  await t.rejects(
    rehearsalEngine().generate(ask(), never),
    { name: 'EngineError', next: 'later' },
    'a group before start() → later',
  )
  const { tokens, ...rest } = replay(request, group, 0)
  await t.rejects(
    engine.verify({ ...rest, tokens: tokens.subarray(0, rest.promptLength) }, never),
    { name: 'EngineError', next: 'never' },
    'a replay without a completion → never',
  )
  await t.rejects(
    rehearsalEngine().start({ ...checkpoint, folder }, never),
    { name: 'EngineError', next: 'never', message: /tokenizer\.json/ },
    'a folder without a tokenizer → never, naming the file',
  )
})

await t.test('another profile changes the sketches', async t => {
  const fork = rehearsalEngine({ profile: FORK_V1 })
  await fork.start(checkpoint, never)
  const asked = ask({ profile: 'fork-v1', coefficients: new Int8Array(32).fill(1) })
  const reply = await fork.generate(asked, never)
  const again = await fork.verify({ ...replay(asked, reply, 2), coefficients: asked.coefficients }, never)
  t.same(again.sketches, reply.completions[2]!.sketches, 'to 32 activations, replayed exactly')
})

await t.test('a rehearsal checkpoint folder', async t => {
  const wanted = {
    folder: join(folder, 'other', 'checkpoint'),
    tokenizerFolder,
    environment: 'sat',
    generation,
    thinkingMode: 'native',
  } as const
  const [first, second] = await Promise.all([rehearsalCheckpoint(wanted), rehearsalCheckpoint(wanted)])
  t.strictSame(first, second, 'may be written by two at once')
  t.strictSame(await rehearsalCheckpoint(wanted), first, 'may be written twice')
  t.match(
    JSON.parse(await readFile(join(first.folder, 'metadata.json'), 'utf8')),
    {
      window: 0,
      model_name: 'rehearsal',
      env_id: 'sat',
      env_params: {},
      generation_params: { max_tokens: 700, temperature: 0.7, top_p: 0.9, top_k: 50, repetition_penalty: 1 },
      thinking_mode: 'native',
    },
    'says what is mined',
  )
  await t.rejects(
    rehearsalCheckpoint({ ...wanted, environment: 'gsm8k' }),
    /holds another checkpoint/,
    'is not overwritten',
  )
  await writeFile(join(folder, 'tokenizer.json'), '{}')
  await t.rejects(
    rehearsalCheckpoint({ ...wanted, folder: join(folder, 'third'), tokenizerFolder: folder }),
    /has no tokenizer_config\.json/,
    'needs the tokenizer files',
  )
  await t.rejects(readFile(join(folder, 'third', 'metadata.json')), { code: 'ENOENT' }, 'is not left half-written')
})

import t from 'tap'
import { advantages } from '../../src/protocol/advantages.js'
import { type FindingCode, type GateExpectation, gateGroup } from '../../src/protocol/gate.js'
import { FORK_V1, GRAIL_V5 } from '../../src/protocol/profile.js'
import { deriveEnvSeed } from '../../src/protocol/seed.js'
import type { Group, Rollout } from '../../src/window/group.js'

const HOTKEY = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const WINDOW_HASH = `0x${'89a1'.repeat(16)}`
const PROMPT = 12
const COMPLETION = 40
const EOS = 7

const expected: GateExpectation = {
  hotkey: HOTKEY,
  window: 900,
  epoch: 2,
  windowHash: WINDOW_HASH,
  checkpointWindow: 870,
  modelName: 'async_trainer_snapshot',
  randomness: 'ab'.repeat(32),
  weightsHash: '1e4aff6f4b11436c0021835d6afce82d',
  environment: 'sat',
  maxTokens: 64,
}

function rollout(index: number, reward: number, advantage: number): Rollout {
  return {
    completionIds: Int32Array.from({ length: COMPLETION }, (_, i) => (i === COMPLETION - 1 ? EOS : 100 + index + i)),
    sketches: new Int32Array(PROMPT + COMPLETION).fill(2_147_483_646),
    logprobs: new Float32Array(COMPLETION).fill(-0.25),
    finish: 'eos',
    eosProbability: 0.8,
    distribution: { median: 0.8, q10: 0.2, q10First50: 0.2, min: 0.01 },
    reward,
    success: reward > 0.5,
    advantage,
  }
}

/** A group nothing is wrong with. */
function goodGroup(): Group {
  const rewards = Array.from({ length: 16 }, (_, i) => (i < 5 ? 0.9 : 0.2))
  const shares = advantages(rewards)
  return {
    profile: 'grail-v5',
    engine: 'transformers',
    hotkey: HOTKEY,
    window: 900,
    epoch: 2,
    windowHash: WINDOW_HASH,
    randomness: 'ab'.repeat(32),
    index: 3,
    seed: deriveEnvSeed(HOTKEY, WINDOW_HASH, 3),
    environment: 'sat',
    block: 905,
    model: {
      checkpointWindow: 870,
      modelName: 'async_trainer_snapshot',
      weightsHash: '1e4aff6f4b11436c0021835d6afce82d',
      eosTokenId: EOS,
      vocabSize: 1000,
      maxPositions: 100,
    },
    maxTokens: 64,
    promptIds: Int32Array.from({ length: PROMPT }, (_, i) => i),
    rollouts: rewards.map((reward, i) => rollout(i, reward, shares[i]!)),
    producer: 'generator-0',
    timestamp: 1_775_000_000.25,
    seconds: { prompt: 0, generate: 1, prove: 1, reward: 0 },
  }
}

/** Completion of `length` tokens for one rollout, with everything that has to fit it. */
function ofLength(r: Rollout, length: number, last: number, finish: Rollout['finish']): void {
  r.completionIds = Int32Array.from({ length }, (_, i) => (i === length - 1 ? last : 100))
  r.sketches = new Int32Array(PROMPT + length)
  r.logprobs = new Float32Array(length).fill(-0.1)
  r.finish = finish
}

t.test('a group nothing is wrong with has no findings', t => {
  t.same(gateGroup(goodGroup(), GRAIL_V5, expected), [])
  const { randomness, weightsHash, environment, maxTokens, ...needed } = expected
  t.same(gateGroup(goodGroup(), GRAIL_V5, needed), [], 'also when only what is always known is compared')
  t.end()
})

t.test('each single fault is found, and nothing else', t => {
  const mutations: [title: string, code: FindingCode, change: (group: Group, third: Rollout) => void][] = [
    ['another profile', 'profile', g => (g.profile = 'fork-v1')],
    ['another hotkey', 'hotkey', g => (g.hotkey = '5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty')],
    ['another window', 'window', g => (g.window = 930)],
    ['an older epoch', 'epoch', g => (g.epoch = 1)],
    ['another window hash', 'window_hash', g => (g.windowHash = `0x${'00'.repeat(32)}`)],
    ['other randomness', 'randomness', g => (g.randomness = 'cd'.repeat(32))],
    ['an older checkpoint', 'checkpoint', g => (g.model.checkpointWindow = 840)],
    ['another model name', 'model_name', g => (g.model.modelName = 'other')],
    ['other weights', 'weights_hash', g => (g.model.weightsHash = '')],
    ['another environment', 'environment', g => (g.environment = 'gsm8k')],
    ['another limit of tokens', 'max_tokens', g => (g.maxTokens = 128)],
    ['a seed of another index', 'seed', g => (g.index = 4)],
    ['another seed', 'seed', g => (g.seed += 1)],
    ['no time', 'timestamp', g => (g.timestamp = Number.NaN)],
    [
      'an empty prompt',
      'prompt',
      g => {
        g.promptIds = new Int32Array(0)
        for (const r of g.rollouts) r.sketches = new Int32Array(COMPLETION)
      },
    ],
    ['a prompt token beyond the vocabulary', 'token_range', g => (g.promptIds[3] = 1000)],
    ['a negative token', 'token_range', (_, r) => (r.completionIds[0] = -1)],
    ['a token that is the vocabulary size', 'token_range', (_, r) => (r.completionIds[5] = 1000)],
    ['a completion of 31 tokens', 'completion_length', (_, r) => ofLength(r, 31, EOS, 'eos')],
    ['a completion beyond the limit', 'completion_length', (_, r) => ofLength(r, 65, EOS, 'eos')],
    ['a sequence beyond the model', 'sequence_length', g => (g.model.maxPositions = PROMPT + COMPLETION - 1)],
    ['an early end on another token', 'termination', (_, r) => ofLength(r, 40, 8, 'eos')],
    ['an EOS the model found improbable', 'termination', (_, r) => (r.eosProbability = 0.0199)],
    ['an EOS without probability', 'termination', (_, r) => (r.eosProbability = Number.NaN)],
    ['an end by length before the limit', 'termination', (_, r) => (r.finish = 'length')],
    ['an end by EOS at the limit on another token', 'termination', (_, r) => ofLength(r, 64, 8, 'eos')],
    ['a sketch too few', 'sketch_count', (_, r) => (r.sketches = r.sketches.slice(1))],
    ['a sketch that is the modulus', 'sketch_range', (_, r) => (r.sketches[20] = 2_147_483_647)],
    ['a negative sketch', 'sketch_range', (_, r) => (r.sketches[0] = -1)],
    ['a logprob too many', 'logprob_count', (_, r) => (r.logprobs = new Float32Array(COMPLETION + 1))],
    ['a positive logprob', 'logprob_value', (_, r) => (r.logprobs[9] = 0.001)],
    ['a logprob that is not a number', 'logprob_value', (_, r) => (r.logprobs[9] = Number.NaN)],
    ['a logprob of minus infinity', 'logprob_value', (_, r) => (r.logprobs[9] = -Infinity)],
    [
      'nine rollouts that fail the distribution check',
      'distribution',
      g => {
        for (const r of g.rollouts.slice(0, 9)) r.distribution.median = 0.3
      },
    ],
  ]
  for (const [title, code, change] of mutations) {
    const group = goodGroup()
    change(group, group.rollouts[3]!)
    const codes = [...new Set(gateGroup(group, GRAIL_V5, expected).map(finding => finding.code))]
    // a sequence too long for the model is so for every rollout, an index decides the seed: one code all the same
    t.same(codes, [code], title)
  }
  t.end()
})

t.test('faults that break more than one rule are found by each of them', t => {
  const cases: [title: string, codes: FindingCode[], change: (group: Group, third: Rollout) => void][] = [
    ['a rollout too few', ['group_size', 'advantage', 'advantage_sum'], g => g.rollouts.pop()],
    ['an advantage changed', ['advantage'], (_, r) => (r.advantage += 1e-6)],
    ['an advantage changed much', ['advantage', 'advantage_sum'], (_, r) => (r.advantage += 0.02)],
    ['a reward changed', ['advantage'], (_, r) => (r.reward = 0.8)],
    ['a reward that is not a number', ['reward', 'advantage'], (_, r) => (r.reward = Number.NaN)],
    ['an advantage that is not a number', ['advantage', 'advantage_sum'], (_, r) => (r.advantage = Number.NaN)],
    ['a negative index', ['index', 'seed'], g => (g.index = -1)],
  ]
  for (const [title, codes, change] of cases) {
    const group = goodGroup()
    change(group, group.rollouts[3]!)
    t.same([...new Set(gateGroup(group, GRAIL_V5, expected).map(finding => finding.code))], codes, title)
  }
  t.end()
})

t.test('what a validator allows is allowed', t => {
  const cases: [title: string, change: (group: Group, third: Rollout) => void][] = [
    ['the full length without an EOS', (_, r) => ofLength(r, 64, 8, 'length')],
    [
      'the full length with an EOS, however improbable',
      (_, r) => {
        ofLength(r, 64, EOS, 'eos')
        r.eosProbability = 0
      },
    ],
    ['an EOS of exactly the smallest probability', (_, r) => (r.eosProbability = 0.02)],
    ['a completion of 32 tokens', (_, r) => ofLength(r, 32, EOS, 'eos')],
    ['a logprob of zero', (_, r) => r.logprobs.fill(0)],
    [
      'eight rollouts that fail the distribution check',
      g => {
        for (const r of g.rollouts.slice(0, 8)) r.distribution.min = 1e-5
      },
    ],
    [
      'equal rewards',
      g => {
        for (const r of g.rollouts) Object.assign(r, { reward: 0.1, advantage: 0 })
      },
    ],
  ]
  for (const [title, change] of cases) {
    const group = goodGroup()
    change(group, group.rollouts[3]!)
    t.same(gateGroup(group, GRAIL_V5, expected), [], title)
  }
  t.end()
})

t.test('a finding says which rollout, and where', t => {
  const group = goodGroup()
  group.rollouts[11]!.sketches[30] = -5
  t.same(gateGroup(group, GRAIL_V5, expected), [
    { code: 'sketch_range', message: 'sketch -5 at position 30: not in [0, 2^31 − 1)', rollout: 11 },
  ])
  t.end()
})

t.test('the limits come from the profile', t => {
  const group = goodGroup()
  group.profile = FORK_V1.id
  for (const r of group.rollouts) ofLength(r, 16, EOS, 'eos')
  for (const r of group.rollouts) r.distribution = { median: 0.8, q10: 0.2, q10First50: 0.2, min: 0.01 }
  const codes = (profile: typeof GRAIL_V5) => new Set(gateGroup(group, profile, expected).map(finding => finding.code))
  t.notOk(codes(FORK_V1).has('completion_length'), 'fork-v1 takes completions of 16 tokens')
  t.ok(codes(GRAIL_V5).has('completion_length'), 'grail-v5 does not')
  t.end()
})

import t from 'tap'
import { commitSchemaFaults } from '../../src/protocol/commit-schema.js'
import { FORK_V1, GRAIL_V5 } from '../../src/protocol/profile.js'

// biome-ignore lint/suspicious/noExplicitAny: the point of the table is to break it in every way
function goodCommit(): any {
  return {
    tokens: Array.from({ length: 40 }, (_, i) => i),
    commitments: Array.from({ length: 40 }, (_, sketch) => ({ sketch })),
    proof_version: 'v5',
    model: { name: 'm', layer_index: -1 },
    signature: 'ab',
    beacon: { randomness: 'abc' },
    rollout: {
      total_reward: 0.9,
      advantage: 0.1,
      success: true,
      token_logprobs: new Array(40).fill(0),
      prompt_length: 6,
      completion_length: 34,
    },
  }
}

t.test('a good commit passes, and so does what only later checks refuse', t => {
  const passing: [title: string, change: (commit: ReturnType<typeof goodCommit>) => void][] = [
    ['as it is', () => {}],
    ['extra keys anywhere', c => Object.assign(c.beacon, { round: 5 }) && Object.assign(c, { more: 1 })],
    ['commitments without a sketch', c => c.commitments.fill({})],
    [
      'numbers as text',
      c => Object.assign(c.rollout, { prompt_length: '6', completion_length: ' 34 ', total_reward: '1e-3' }),
    ],
    ['whole floats as integers', c => (c.tokens[3] = 5.0)],
    ['truth values as numbers', c => (c.tokens[3] = true)],
    ['truth values as text', c => (c.rollout.success = 'YES')],
    ['no logprobs at all', c => delete c.rollout.token_logprobs],
    ['infinite logprobs', c => (c.rollout.token_logprobs = [Number.NEGATIVE_INFINITY, 'NaN'])],
    ['integers beyond 2^53', c => (c.tokens[3] = 2n ** 70n)],
    ['an environment', c => (c.env = { id: 'sat', seed: 3 })],
    ['no environment', c => (c.env = null)],
  ]
  for (const [title, change] of passing) {
    const commit = goodCommit()
    change(commit)
    t.same(commitSchemaFaults(commit, GRAIL_V5), [], title)
  }
  t.end()
})

t.test('every fault is named with its place', t => {
  const cases: [fault: string[], change: (commit: ReturnType<typeof goodCommit>) => void][] = [
    [['beacon:missing'], c => delete c.beacon],
    [['beacon:model_type'], c => (c.beacon = null)],
    [['beacon.randomness:missing'], c => (c.beacon = {})],
    [['beacon.randomness:string_pattern_mismatch'], c => (c.beacon.randomness = '')],
    [['beacon.randomness:string_pattern_mismatch'], c => (c.beacon.randomness = 'ab\n')],
    [['beacon.randomness:string_type'], c => (c.beacon.randomness = 5)],
    [['model.layer_index:int_from_float'], c => (c.model.layer_index = -1.5)],
    [['model.name:string_type'], c => (c.model.name = null)],
    [['signature:string_type'], c => (c.signature = 7)],
    [['proof_version:missing'], c => delete c.proof_version],
    [['commitments:value_error'], c => c.commitments.pop()],
    [['commitments.2:dict_type'], c => (c.commitments[2] = 5)],
    [['commitments:value_error', 'rollout:value_error', 'tokens:too_short'], c => (c.tokens.length = 31)],
    [['commitments:value_error', 'rollout:value_error', 'tokens.3:int_type'], c => (c.tokens[3] = null)],
    [['commitments:value_error', 'rollout:value_error', 'tokens.3:int_parsing'], c => (c.tokens[3] = '3.5')],
    [['commitments:value_error', 'rollout:value_error', 'tokens:list_type'], c => (c.tokens = 'abc')],
    [['rollout:missing'], c => delete c.rollout],
    [['rollout:value_error'], c => (c.rollout.prompt_length = 7)],
    [['rollout.completion_length:greater_than'], c => (c.rollout.completion_length = 0)],
    [['rollout.completion_length:less_than_equal'], c => (c.rollout.completion_length = 8193)],
    [['rollout.completion_length:finite_number'], c => (c.rollout.completion_length = Number.NaN)],
    [['rollout.prompt_length:greater_than_equal'], c => (c.rollout.prompt_length = -1)],
    [['rollout.success:bool_type'], c => (c.rollout.success = null)],
    [['rollout.success:bool_parsing'], c => (c.rollout.success = 'maybe')],
    [['rollout.advantage:float_type'], c => (c.rollout.advantage = [])],
    [['rollout.advantage:float_parsing'], c => (c.rollout.advantage = 'much')],
    [['rollout.token_logprobs.1:float_type'], c => (c.rollout.token_logprobs[1] = null)],
    [['env.seed:missing'], c => (c.env = { id: 'sat' })],
  ]
  for (const [faults, change] of cases) {
    const commit = goodCommit()
    change(commit)
    t.same(commitSchemaFaults(commit, GRAIL_V5), faults, faults.join(', '))
  }
  for (const hostile of [null, undefined, 5, 'x', [], () => {}])
    t.same(commitSchemaFaults(hostile, GRAIL_V5), ['model_type'], String(hostile))
  t.end()
})

t.test('the fork has other limits and wants the assignment', t => {
  const commit = goodCommit()
  t.same(commitSchemaFaults(commit, FORK_V1), ['rollout.assignment:missing'])
  commit.rollout.assignment = [true, false]
  t.same(commitSchemaFaults(commit, FORK_V1), [])
  commit.rollout.completion_length = 2049
  t.same(commitSchemaFaults(commit, FORK_V1), ['rollout.completion_length:less_than_equal'])
  t.end()
})

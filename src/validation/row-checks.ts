import type { CheckpointMetadata } from '../checkpoint/metadata.js'
import { challengeIndices } from '../protocol/challenge-indices.js'
import { commitSchemaFaults } from '../protocol/commit-schema.js'
import { distributionFaults } from '../protocol/distribution.js'
import { logprobVerdict } from '../protocol/logprob-check.js'
import type { Profile } from '../protocol/profile.js'
import { pythonInt } from '../protocol/python-number.js'
import { rewardClose } from '../protocol/reward-check.js'
import { commitSignatureValid, rowSignatureValid, type VerifySignature } from '../protocol/signatures.js'
import { longestCompletion, terminationFault } from '../protocol/termination.js'
import { isSketch, sketchDistance, sketchTolerance } from '../protocol/tolerance.js'
import type { ModelFacts } from '../window/group.js'
import type { Cell } from '../window/parquet/cells.js'
import { plainCommit } from './commit-json.js'
import { shown } from './findings.js'
import { type Commit, type Inference, randomnessOf } from './inference.js'
import type { Replay } from './replay.js'
import type { Finding } from './verdict.js'

/** What a row is judged by. What is undefined leaves its checks unjudged. */
export interface RowContext {
  profile: Profile
  hotkey: string
  window: number
  windowHash: string
  verify: VerifySignature
  checkpoint?: CheckpointMetadata | undefined
  /** Vocabulary, longest sequence and EOS of the checkpoint. */
  model?: ModelFacts | undefined
  challengeRandomness?: string | undefined
}

/** What was computed for a row before its checks: the prompt it should have, its reward, a replay by an engine. */
export interface RowFacts {
  prompt?: Int32Array | { refused: string } | undefined
  reward?: number | { failed: string } | undefined
  replay?: Replay | undefined
}

/** A fault without the row it is about. */
export type Fault = Pick<Finding, 'check' | 'severity' | 'position' | 'expected' | 'actual'>

/** Checks that judge one row, in the validator's order; each returns its faults, the first hard one ends the row. */
export type RowCheck = (inference: Inference, facts: RowFacts, context: RowContext) => Fault[]

const hard = (check: string, expected: string, actual: string, position?: number): Fault[] => [
  position === undefined
    ? { check, severity: 'hard', expected, actual }
    : { check, severity: 'hard', position, expected, actual },
]

/** a–d of protocol.md §7.3, made before the pipeline (one-covenant/grail grail/validation/miner_validator.py:965-1041, 54d6342). */
export const beforePipeline: RowCheck = (inference, _facts, context) => {
  const { checkpoint, window, windowHash, verify } = context
  if (checkpoint && !isWhole(inference.checkpointWindow, checkpoint.window))
    return hard('checkpoint_window', String(checkpoint.window), shown(inference.checkpointWindow))
  if (!isWhole(inference.windowStart, window)) return hard('window_start', String(window), shown(inference.windowStart))
  if (inference.blockHash !== windowHash) return hard('block_hash', windowHash, shown(inference.blockHash))
  const { challenge, hotkey, signature } = inference
  const texts = typeof challenge === 'string' && typeof signature === 'string' && hotkey !== null
  if (!texts || !rowSignatureValid({ challenge, signature, hotkey: String(hotkey) }, verify))
    return hard(
      'row_signature',
      `a signature of ${shown(hotkey)} over ${shown(challenge)}`,
      `${shown(signature)} does not verify`,
    )
  return []
}

/** pydantic's model of a commit. */
const schemaValid: RowCheck = ({ commit }, _facts, { profile }) => {
  if (isPlain(commit, profile)) return []
  const faults = commitSchemaFaults(plainCommit(commit), profile)
  return faults.length === 0 ? [] : hard('schema_valid', 'a commit of the schema', faults.slice(0, 5).join(', '))
}

const tokensValid: RowCheck = ({ commit }, _facts, { model }) => {
  const tokens = commit.tokens as ArrayLike<Cell>
  const limit = model?.vocabSize ?? Number.POSITIVE_INFINITY
  for (let i = 0; i < tokens.length; i++) {
    const token = Number(tokens[i])
    if (!(token >= 0 && token < limit))
      return hard('tokens_valid', model ? `ids in [0, ${limit})` : 'ids from 0 on', shown(tokens[i]), i)
  }
  if (model && tokens.length > model.maxPositions)
    return hard('tokens_valid', `at most ${model.maxPositions} positions`, `${tokens.length}`)
  return []
}

const promptValid: RowCheck = ({ commit }, { prompt }) => {
  if (prompt === undefined) return []
  if (!(prompt instanceof Int32Array)) return hard('env_prompt_valid', 'a problem validators know', prompt.refused)
  const length = wholeOf(commit.rollout.promptLength)
  if (length !== prompt.length) return hard('env_prompt_valid', `a prompt of ${prompt.length} tokens`, shown(length))
  const tokens = commit.tokens as ArrayLike<Cell>
  for (let i = 0; i < prompt.length; i++)
    if (Number(tokens[i]) !== prompt[i]) return hard('env_prompt_valid', `token ${prompt[i]}`, shown(tokens[i]), i)
  return []
}

const proofValid: RowCheck = ({ commit }, { replay }, context) => {
  const { profile, hotkey, verify } = context
  const fail = (expected: string, actual: string, position?: number) => hard('proof_valid', expected, actual, position)
  const { proofVersion, rollout, commitments } = commit
  if (typeof proofVersion !== 'string' || !profile.acceptedProofVersions.includes(proofVersion))
    return fail(`proof version ${profile.acceptedProofVersions.join(' or ')}`, shown(proofVersion))
  const tokens = integersOf(commit.tokens as ArrayLike<Cell>)
  if (!tokens) return fail('integer tokens', 'tokens of another type')
  const completionLength = wholeOf(rollout.completionLength)
  const promptLength = wholeOf(rollout.promptLength)
  if (completionLength < profile.challengeK)
    return fail(`a completion of at least ${profile.challengeK} tokens`, `${completionLength}`)
  const signed = {
    proofVersion,
    tokens,
    commitments: commitments instanceof Uint8Array ? null : commitments,
    randomness: randomnessOf(commit),
    modelName: typeof commit.modelName === 'string' ? commit.modelName : '',
    layerIndex: wholeOf(commit.layerIndex),
    signature: typeof commit.signature === 'string' ? commit.signature : '',
  }
  if (!commitSignatureValid(profile, signed, hotkey, verify))
    return fail(`a commit signature of ${hotkey}`, `${shown(commit.signature)} does not verify`)
  if (signed.layerIndex !== profile.layerIndex) return fail(`layer ${profile.layerIndex}`, `${signed.layerIndex}`)
  for (let position = 0; position < tokens.length; position++) {
    const sketch = sketchAt(commitments, position)
    if (!isSketch(sketch)) return fail('a sketch in [0, 2^31 − 1)', shown(sketch), position)
  }
  if (!replay) return []
  for (const position of positionsOf(tokens, promptLength, completionLength, context)) {
    const claimed = sketchAt(commitments, position) as number
    const own = replay.sketches[position] as number
    const tolerance = sketchTolerance(profile, position)
    if (sketchDistance(claimed, own) > tolerance)
      return fail(`sketch ${own} within ${tolerance}`, `${claimed}`, position)
  }
  return []
}

const terminationValid: RowCheck = ({ commit }, { replay }, { profile, checkpoint, model }) => {
  if (!checkpoint) return []
  const { maxTokens } = checkpoint.generation
  const completionLength = wholeOf(commit.rollout.completionLength)
  const limit = longestCompletion(profile, maxTokens)
  const lastToken = Number((commit.tokens as ArrayLike<Cell>)[commit.tokens.length - 1])
  // Without the tokenizer's EOS any last token may be it.
  const eosTokenId = model?.eosTokenId ?? lastToken
  const eosProbability = replay?.eosProbability
  const fault = terminationFault(profile, { completionLength, maxTokens, lastToken, eosTokenId, eosProbability })
  if (!fault) return []
  if (fault === 'too_long')
    return hard('termination_valid', `at most ${limit} completion tokens`, `${completionLength}`)
  if (fault === 'no_eos')
    return hard(
      'termination_valid',
      `EOS ${eosTokenId} after ${completionLength} of ${limit} tokens`,
      `${lastToken}`,
      commit.tokens.length - 1,
    )
  return hard(
    'termination_valid',
    `P(EOS) of at least ${profile.minEosProbability}`,
    `${eosProbability}`,
    commit.tokens.length - 1,
  )
}

const environmentValid: RowCheck = (_inference, { reward }) =>
  typeof reward === 'object' ? hard('env_eval_valid', 'an evaluated completion', reward.failed) : []

const rewardValid: RowCheck = ({ commit }, { reward }, { profile }) => {
  if (typeof reward !== 'number') return []
  const claimed = Number(commit.rollout.totalReward)
  if (rewardClose(profile, claimed, reward)) return []
  return [{ check: 'reward_valid', severity: 'soft', expected: `reward ${reward}`, actual: `${claimed}` }]
}

const logprobsValid: RowCheck = ({ commit }, { replay }, context) => {
  const claimed = commit.rollout.tokenLogprobs as ArrayLike<Cell>
  const length = commit.tokens.length
  if (claimed.length !== length) return hard('logprobs_valid', `${length} logprobs`, `${claimed.length}`)
  if (!replay) return []
  const promptLength = wholeOf(commit.rollout.promptLength)
  const tokens = integersOf(commit.tokens as ArrayLike<Cell>) ?? []
  const positions = positionsOf(tokens, promptLength, wholeOf(commit.rollout.completionLength), context)
  const verdict = logprobVerdict(
    context.profile,
    positions.map(position => replay.logprobs[position - promptLength] ?? Number.NaN),
    positions.map(position => (claimed[position] === null ? Number.NaN : Number(claimed[position]))),
  )
  if (verdict.valid) return []
  const worst = positions.reduce((a, b) => {
    const off = (at: number) => Math.abs(Number(claimed[at]) - (replay.logprobs[at - promptLength] ?? Number.NaN))
    return off(b) > off(a) ? b : a
  }, positions[0] ?? 0)
  return hard(
    'logprobs_valid',
    `a deviation of at most ${verdict.limit} over ${positions.length} positions`,
    `${verdict.measure}; most at this one: ${shown(claimed[worst])}, recomputed ${replay.logprobs[worst - promptLength]}`,
    worst,
  )
}

const distributionValid: RowCheck = ({ commit }, { replay }, { profile, checkpoint }) => {
  if (!replay) return []
  const soft = (expected: string, actual: string): Fault[] => [
    { check: 'token_distribution_valid', severity: 'soft', expected, actual },
  ]
  const missing = checkpoint && Object.entries(checkpoint.generation).find(([, value]) => !Number.isFinite(value))
  if (missing) return soft('all generation parameters', `${missing[0]} is ${missing[1]}`)
  const faults = distributionFaults(replay.distribution, wholeOf(commit.rollout.completionLength), profile)
  if (faults.length === 0) return []
  const { median, q10, q10First50, min } = replay.distribution
  return soft(
    `median > ${profile.distribution.medianMin}, 10 % quantile > ${profile.distribution.q10Min}, min > ${profile.distribution.minProbability}`,
    `${faults.join(', ')}: median ${median}, quantile ${q10} (first ${q10First50}), min ${min}`,
  )
}

/** 1–9 of protocol.md §7.3, in order (grail/validation/pipeline.py:92-127, 54d6342). */
export const PIPELINE: readonly RowCheck[] = [
  schemaValid,
  tokensValid,
  promptValid,
  proofValid,
  terminationValid,
  environmentValid,
  rewardValid,
  logprobsValid,
  distributionValid,
]

/** Positions a validator opens; without its randomness, which nobody knows before the window ends, all of the completion. */
function positionsOf(
  tokens: ArrayLike<number | bigint>,
  promptLength: number,
  completionLength: number,
  { profile, challengeRandomness }: RowContext,
): number[] {
  if (challengeRandomness !== undefined)
    return challengeIndices(profile, tokens, challengeRandomness, promptLength, completionLength)
  return Array.from({ length: completionLength }, (_, i) => promptLength + i)
}

/** A commit as we and the reference write it needs no model of pydantic's leniency: same answer, a hundredth of the time. */
function isPlain({ tokens, commitments, rollout, ...commit }: Commit, profile: Profile): boolean {
  const { promptLength, completionLength, tokenLogprobs } = rollout
  const randomness = commit.beacon instanceof Map ? commit.beacon.get('randomness') : undefined
  return (
    tokens instanceof Int32Array &&
    commitments instanceof Int32Array &&
    (tokenLogprobs instanceof Float32Array || tokenLogprobs instanceof Float64Array) &&
    tokens.length >= profile.minTokens &&
    commitments.length === tokens.length &&
    profile.parquet.extraRolloutFields.length === 0 &&
    [commit.proofVersion, commit.modelName, commit.signature].every(text => typeof text === 'string') &&
    Number.isInteger(commit.layerIndex) &&
    typeof randomness === 'string' &&
    /^[0-9a-fA-F]+$/.test(randomness) &&
    typeof rollout.totalReward === 'number' &&
    typeof rollout.advantage === 'number' &&
    typeof rollout.success === 'boolean' &&
    Number.isInteger(promptLength) &&
    Number.isInteger(completionLength) &&
    (promptLength as number) >= 0 &&
    (completionLength as number) > 0 &&
    (completionLength as number) <= profile.maxNewTokens &&
    (promptLength as number) + (completionLength as number) === tokens.length
  )
}

function sketchAt(commitments: Commit['commitments'], position: number): unknown {
  if (commitments instanceof Int32Array) return commitments[position]
  const item = Array.isArray(commitments) ? commitments[position] : undefined
  const sketch = item instanceof Map ? item.get('sketch') : undefined
  return typeof sketch === 'bigint' ? Number(sketch) : sketch
}

function integersOf(values: ArrayLike<Cell>): ArrayLike<number | bigint> | undefined {
  if (values instanceof Int32Array) return values
  for (let i = 0; i < values.length; i++)
    if (typeof values[i] !== 'bigint' && !Number.isInteger(values[i])) return undefined
  return values as ArrayLike<number | bigint>
}

/** Python's int() of a field that the schema let pass. */
function wholeOf(value: Cell): number {
  return typeof value === 'number' ? Math.trunc(value) : Number(pythonInt(value))
}

function isWhole(value: Cell, expected: number): boolean {
  return (typeof value === 'number' || typeof value === 'bigint') && Number(value) === expected
}

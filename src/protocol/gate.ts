import { GROUP_SIZE, type Group, type Rollout } from '../window/group.js'
import { advantages } from './advantages.js'
import { distributionFaults, softFailureLimit } from './distribution.js'
import { ADVANTAGE_SUM_TOLERANCE } from './group-check.js'
import { PRIME_Q, type Profile } from './profile.js'
import { deriveEnvSeed } from './seed.js'
import { longestCompletion, terminationFault } from './termination.js'

/**
 * How far a staged advantage may be from ours. Tighter than the validator's 1e-3: both sides run the same function, so
 * any difference is a fault of ours.
 */
const OWN_ADVANTAGE_TOLERANCE = 1e-9

/** What a group can be dropped for. */
export type FindingCode =
  | 'profile'
  | 'hotkey'
  | 'window'
  | 'epoch'
  | 'window_hash'
  | 'randomness'
  | 'checkpoint'
  | 'model_name'
  | 'weights_hash'
  | 'environment'
  | 'max_tokens'
  | 'index'
  | 'seed'
  | 'timestamp'
  | 'group_size'
  | 'prompt'
  | 'completion_length'
  | 'sequence_length'
  | 'token_range'
  | 'termination'
  | 'sketch_count'
  | 'sketch_range'
  | 'logprob_count'
  | 'logprob_value'
  | 'reward'
  | 'advantage'
  | 'advantage_sum'
  | 'distribution'

/** One reason to drop a group. */
export interface Finding {
  code: FindingCode
  /** What was wrong, with position, expected and actual value. */
  message: string
  /** Index of the rollout in its group, when it is about one. */
  rollout?: number
}

/** What a group must belong to. Fields left undefined are not compared. */
export interface GateExpectation {
  hotkey: string
  window: number
  epoch: number
  /** Lower-case hex with 0x. */
  windowHash: string
  checkpointWindow: number
  modelName: string
  /** 64 hex characters without 0x. */
  randomness?: string
  weightsHash?: string
  environment?: string
  /** max_tokens of the checkpoint. */
  maxTokens?: number
}

/**
 * Judges a staged group before anything of it is signed or written (protocol.md §10 "TS gating", design.md §5): everything
 * a validator can refuse without a model, and the engine's own numbers for the rest. An empty list means it may be
 * uploaded; any finding drops the whole group. Reads no clock and keeps nothing.
 */
export function gateGroup(group: Group, profile: Profile, expected: GateExpectation): Finding[] {
  const findings: Finding[] = []
  const find = (code: FindingCode, message: string, rollout?: number) =>
    findings.push(rollout === undefined ? { code, message } : { code, message, rollout })
  checkOrigin(group, profile, expected, find)
  checkPrompt(group, find)
  if (group.rollouts.length !== profile.groupSize || profile.groupSize !== GROUP_SIZE)
    find('group_size', `${group.rollouts.length} rollouts instead of ${profile.groupSize}`)
  group.rollouts.forEach((rollout, index) => {
    checkRollout(group, rollout, profile, (code, message) => find(code, message, index))
  })
  checkAdvantages(group, find)
  checkDistribution(group, profile, find)
  return findings
}

type Find = (code: FindingCode, message: string, rollout?: number) => void

function checkOrigin(group: Group, profile: Profile, expected: GateExpectation, find: Find): void {
  const same = (code: FindingCode, actual: unknown, wanted: unknown) => {
    if (wanted !== undefined && actual !== wanted)
      find(code, `${code} is ${String(actual)} instead of ${String(wanted)}`)
  }
  same('profile', group.profile, profile.id)
  same('hotkey', group.hotkey, expected.hotkey)
  same('window', group.window, expected.window)
  same('epoch', group.epoch, expected.epoch)
  same('window_hash', group.windowHash, expected.windowHash)
  same('checkpoint', group.model.checkpointWindow, expected.checkpointWindow)
  same('model_name', group.model.modelName, expected.modelName)
  same('randomness', group.randomness, expected.randomness)
  same('weights_hash', group.model.weightsHash, expected.weightsHash)
  same('environment', group.environment, expected.environment)
  if (expected.maxTokens !== undefined)
    same('max_tokens', group.maxTokens, longestCompletion(profile, expected.maxTokens))
  if (!Number.isInteger(group.maxTokens) || group.maxTokens < 1 || group.maxTokens > profile.maxNewTokens)
    find('max_tokens', `max_tokens ${group.maxTokens} is not within 1 and ${profile.maxNewTokens}`)
  if (!/^[0-9a-f]{64}$/.test(group.randomness))
    find('randomness', `randomness is not 64 lower-case hex characters: "${group.randomness.slice(0, 80)}"`)
  if (!Number.isSafeInteger(group.index) || group.index < 0) find('index', `problem index ${group.index} is none`)
  same('seed', group.seed, deriveEnvSeed(expected.hotkey, expected.windowHash, group.index))
  if (!Number.isFinite(group.timestamp) || !Number.isSafeInteger(group.block))
    find('timestamp', `timestamp ${group.timestamp} or block ${group.block} is not a number a row can hold`)
}

function checkPrompt(group: Group, find: Find): void {
  if (group.promptIds.length === 0) find('prompt', 'the prompt is empty')
  const outside = firstOutside(group.promptIds, group.model.vocabSize)
  if (outside >= 0) find('token_range', outsideText('prompt', group.promptIds, outside, group.model.vocabSize))
}

function checkRollout(group: Group, rollout: Rollout, profile: Profile, find: Find): void {
  const { promptIds, model } = group
  const { completionIds, sketches, logprobs } = rollout
  const length = completionIds.length
  const positions = promptIds.length + length
  if (length < profile.minCompletion)
    find('completion_length', `completion of ${length} tokens, at least ${profile.minCompletion} are needed`)
  if (positions < profile.minTokens || positions > model.maxPositions)
    find('sequence_length', `${positions} positions are not within ${profile.minTokens} and ${model.maxPositions}`)
  const outside = firstOutside(completionIds, model.vocabSize)
  if (outside >= 0) find('token_range', outsideText('completion', completionIds, outside, model.vocabSize))
  checkEnd(group, rollout, profile, find)

  if (sketches.length !== positions) find('sketch_count', `${sketches.length} sketches for ${positions} positions`)
  const badSketch = firstOutside(sketches, PRIME_Q)
  if (badSketch >= 0)
    find('sketch_range', `sketch ${sketches[badSketch]} at position ${badSketch}: not in [0, 2^31 − 1)`)

  if (logprobs.length !== length) find('logprob_count', `${logprobs.length} logprobs for ${length} completion tokens`)
  const badLogprob = firstNotLogprob(logprobs)
  if (badLogprob >= 0)
    find('logprob_value', `logprob ${logprobs[badLogprob]} at completion token ${badLogprob}: not finite and ≤ 0`)

  if (!Number.isFinite(rollout.reward) || typeof rollout.success !== 'boolean')
    find('reward', `reward ${rollout.reward}, success ${rollout.success}: not a finite number and a truth value`)
}

function checkEnd(group: Group, rollout: Rollout, profile: Profile, find: Find): void {
  const length = rollout.completionIds.length
  const lastToken = rollout.completionIds[length - 1] ?? -1
  const { eosTokenId } = group.model
  const limit = longestCompletion(profile, group.maxTokens)
  const { eosProbability, finish } = rollout
  const fault = terminationFault(profile, {
    completionLength: length,
    maxTokens: group.maxTokens,
    lastToken,
    eosTokenId,
    eosProbability,
  })
  if (fault === 'too_long') find('completion_length', `completion of ${length} tokens, at most ${limit} are allowed`)
  else if (fault === 'no_eos')
    find('termination', `stopped after ${length} of ${limit} tokens on ${lastToken}, not EOS`)
  else if (fault) find('termination', `EOS probability ${eosProbability} is below ${profile.minEosProbability}`)
  else if (finish === 'eos' && lastToken !== eosTokenId)
    find('termination', `said to end on EOS, but the last token is ${lastToken} instead of ${eosTokenId}`)
  else if (finish === 'length' && length !== limit)
    find('termination', `said to end at the limit, but it has ${length} of ${limit} tokens`)
}

function checkAdvantages(group: Group, find: Find): void {
  const expected = advantages(group.rollouts.map(rollout => rollout.reward))
  let sum = 0
  group.rollouts.forEach(({ advantage }, index) => {
    sum += advantage
    if (!(Math.abs(advantage - expected[index]!) <= OWN_ADVANTAGE_TOLERANCE))
      find('advantage', `advantage ${advantage} instead of ${expected[index]}`, index)
  })
  if (!(Math.abs(sum) <= ADVANTAGE_SUM_TOLERANCE)) find('advantage_sum', `advantages sum to ${sum}`)
}

function checkDistribution(group: Group, profile: Profile, find: Find): void {
  const failing = group.rollouts.filter(
    rollout => distributionFaults(rollout.distribution, rollout.completionIds.length, profile).length > 0,
  ).length
  const limit = softFailureLimit(profile.distribution.softFraction, profile.groupSize)
  if (failing >= limit)
    find(
      'distribution',
      `${failing} rollouts fail the distribution check; a validator refuses the file from ${limit} on`,
    )
}

/** Position of the first value outside [0, limit), or −1. */
function firstOutside(values: Int32Array, limit: number): number {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    if (value < 0 || value >= limit) return i
  }
  return -1
}

/** Position of the first value that is not a finite number ≤ 0, or −1. */
function firstNotLogprob(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    if (!(value <= 0 && value > -Infinity)) return i
  }
  return -1
}

function outsideText(what: string, ids: Int32Array, position: number, vocabSize: number): string {
  return `token ${ids[position]} at ${what} position ${position}: not in the vocabulary of ${vocabSize}`
}

import type { GenerationParams } from '../checkpoint/metadata.js'
import { logprobVerdict } from '../protocol/logprob-check.js'
import type { Profile } from '../protocol/profile.js'
import { sketchDistance, sketchTolerance } from '../protocol/tolerance.js'
import type { Engine, GroupReply } from './engine.js'
import { EngineError } from './engine.js'

export interface CanaryOptions {
  profile: Profile
  /** Of the checkpoint that is loaded. */
  checkpointWindow: number
  generation: GenerationParams
  /** A real prompt of the checkpoint's environment. int32[P] */
  promptIds: Int32Array
  /** int8[topk]; any will do, but all zeros would prove nothing. */
  coefficients: Int8Array
  /** Unix ms. */
  deadlineMs: number
}

/** What the canary came to: ok, or a sentence for people that says why no claim may be made. */
export type CanaryVerdict = { ok: true; group: GroupReply } | { ok: false; reason: string }

/** Completions longer than this find nothing that shorter ones do not. Tokens. */
const MOST_TOKENS = 256
const SEED = 0x0ca4a27

/** Where two rows of numbers first differ in a bit, 0 where in their length; -1 when nowhere. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return 0
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return i
  return -1
}

/**
 * One group, generated, proved, and every sequence of it replayed: the sketches must be exactly equal, position by
 * position, and so must the log-probabilities. The validator's own tolerance would let unrelated sketches pass, so
 * nothing else tells a broken prover (one-covenant/grail grail/protocol/grail_verifier.py:300-346, 54d6342). Two of them are also read
 * whole, as a validator may read them, and must be what it accepts: a prover that repeats the same error is found by their
 * log-probabilities. To be asked before claims open and after every change of weights.
 *
 * The group is no protocol group: max_tokens may be shortened, and nobody may stage it.
 * @throws the signal's reason, and whatever is no EngineError
 */
export async function canary(engine: Engine, options: CanaryOptions, signal: AbortSignal): Promise<CanaryVerdict> {
  const { profile, checkpointWindow, promptIds, coefficients } = options
  const maxTokens = Math.min(options.generation.maxTokens, Math.max(MOST_TOKENS, profile.minCompletion))
  const generation = { ...options.generation, maxTokens }
  const common = { profile: profile.id, checkpointWindow, coefficients, generation }
  const sequenceOf = (completionIds: Int32Array) => Int32Array.from([...promptIds, ...completionIds])
  if (coefficients.every(c => c === 0)) return { ok: false, reason: 'all coefficients are 0: any sketch would pass' }
  try {
    const group = await engine.generate(
      { ...common, promptIds, groupSize: profile.groupSize, deadlineMs: options.deadlineMs, seed: SEED },
      signal,
    )
    const lengths = group.completions.map(({ completionIds }) => promptIds.length + completionIds.length)
    for (const [i, { completionIds, sketches, logprobs }] of group.completions.entries()) {
      const tokens = sequenceOf(completionIds)
      const replay = await engine.verify(
        { ...common, tokens, promptLength: promptIds.length, group: { lengths, at: i, rows: group.proofRows } },
        signal,
      )
      const at = difference(replay.sketches, sketches)
      if (at >= 0)
        return {
          ok: false,
          reason: `the sketch of completion ${i}, position ${at} of ${tokens.length}, is ${sketches[at]} and ${replay.sketches[at]} when replayed: this device does not repeat its own proofs`,
        }
      const step = difference(replay.logprobs, logprobs)
      if (step >= 0)
        return {
          ok: false,
          reason: `the log-probability of completion ${i}, token ${step}, is ${logprobs[step]} and ${replay.logprobs[step]} when replayed`,
        }
    }
    // The first and the last: whatever an engine does to prove a group sooner, it does to all of it.
    for (const i of new Set([0, group.completions.length - 1])) {
      const { completionIds, sketches, logprobs } = group.completions[i]!
      const tokens = sequenceOf(completionIds)
      const read = await engine.verify({ ...common, tokens, promptLength: promptIds.length, whole: true }, signal)
      const far = sketches.findIndex(
        (sketch, at) => !(sketchDistance(sketch, read.sketches[at]!) <= sketchTolerance(profile, at)),
      )
      if (far >= 0)
        return {
          ok: false,
          reason: `the sketch of completion ${i}, position ${far} of ${tokens.length}, is ${sketches[far]} and ${read.sketches[far]} when the sequence is read whole: further apart than a validator allows`,
        }
      const { valid, measure, limit } = logprobVerdict(profile, read.logprobs, logprobs)
      if (!valid)
        return {
          ok: false,
          reason: `the log-probabilities of completion ${i} are off by ${measure.toFixed(3)} when the sequence is read whole, and a validator allows ${limit}`,
        }
    }
    return { ok: true, group }
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof EngineError)) throw error
    return { ok: false, reason: `no group could be made and replayed: ${error.message}` }
  }
}

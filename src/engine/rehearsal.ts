import { setTimeout as sleep } from 'node:timers/promises'
import type { Checkpoint } from '../checkpoint/metadata.js'
import { GRAIL_V5, type Profile } from '../protocol/profile.js'
import type { Completion, ModelFacts } from '../window/group.js'
import { checkGroupRequest, checkVerifyRequest } from './check.js'
import type { Engine, GroupReply, GroupRequest, VerifyReply, VerifyRequest } from './engine.js'
import { EngineError } from './engine.js'
import { drawCompletion } from './rehearsal/completion.js'
import { contexts, distributionOf, logprobOf, mix, sketchesOf } from './rehearsal/numbers.js'
import { readVocabulary, type Vocabulary } from './rehearsal/vocabulary.js'

/** Time as the rehearsal sees it; a test may bring its own. */
export interface Clock {
  /** Unix ms. */
  now(): number
  /** Resolves after `ms`; rejects with the signal's reason as soon as it is aborted. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

export interface RehearsalOptions {
  profile?: Profile
  /** Simulated time per group, ms; each group takes this ± 20 %, by its seed. 0 (the default) does not wait. */
  paceMs?: number
  /** Another seed gives another fleet of numbers. u32 */
  seed?: number
  /** Mean length of completions that end by EOS, tokens. */
  typicalTokens?: number
  clock?: Clock
}

/** A rollout of a small reasoning model on a school problem (operations.md D.2 measures with 600 and 1,200). */
const TYPICAL_TOKENS = 600
const PACE_SPREAD = 0.2

const systemClock: Clock = {
  now: Date.now,
  wait: (ms, signal) =>
    sleep(ms, undefined, { signal }).catch(() => {
      throw signal.reason
    }),
}

/**
 * An engine without weights, in process: deterministic, fast, every number recomputable. Completions follow from
 * (prompt ids, generation parameters, request seed, rollout index, engine seed); sketches and log-probabilities from the
 * tokens and coefficients alone, so verify() finds exactly what generate() returned, and another prompt, token or
 * coefficient gives other numbers. Only for rehearsals: `rehearsal` is true, and no real bucket may see its groups.
 */
export function rehearsalEngine(options: RehearsalOptions = {}): Engine {
  const { profile = GRAIL_V5, paceMs = 0, seed = 0, typicalTokens = TYPICAL_TOKENS, clock = systemClock } = options
  let loaded: { facts: ModelFacts; vocabulary: Vocabulary; environment: string } | undefined

  async function load(checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts> {
    signal.throwIfAborted()
    const { metadata } = checkpoint
    const vocabulary = await readVocabulary(checkpoint.folder, metadata.thinkingMode).catch((cause: unknown) => {
      throw new EngineError(cause instanceof Error ? cause.message : String(cause), 'never', { cause })
    })
    signal.throwIfAborted()
    const facts: ModelFacts = {
      checkpointWindow: metadata.window,
      modelName: metadata.modelName,
      // It has no weights of its own: its groups are those of whatever checkpoint they rehearse.
      weightsHash: metadata.weightsHash,
      eosTokenId: vocabulary.eosTokenId,
      vocabSize: vocabulary.vocabSize,
      maxPositions: vocabulary.maxPositions,
    }
    loaded = { facts, vocabulary, environment: metadata.environment }
    return facts
  }

  /** Sketches, log-probabilities and figures of a completion whose prompt has already been digested. */
  function prove(
    request: Pick<GroupRequest, 'coefficients' | 'generation'>,
    prompt: { sketches: Int32Array; last: number },
    completionIds: Int32Array,
    eosTokenId: number,
  ): VerifyReply {
    const states = contexts(completionIds, prompt.last)
    const sketches = new Int32Array(prompt.sketches.length + states.length)
    sketches.set(prompt.sketches)
    sketchesOf(states, request.coefficients, profile.buckets, sketches, prompt.sketches.length)
    const logprobs = new Float32Array(states.length)
    for (let i = 0; i < states.length; i++) logprobs[i] = logprobOf(states[i]!)
    return {
      sketches,
      logprobs,
      eosProbability: completionIds.at(-1) === eosTokenId ? Math.exp(logprobs.at(-1)!) : Number.NaN,
      distribution: distributionOf(logprobs, request.generation, profile.distribution.initialSteps),
    }
  }

  function digestPrompt(promptIds: Int32Array, coefficients: Int8Array): { sketches: Int32Array; last: number } {
    const states = contexts(promptIds)
    const sketches = new Int32Array(states.length)
    sketchesOf(states, coefficients, profile.buckets, sketches, 0)
    return { sketches, last: states.at(-1)! }
  }

  async function pace(request: GroupRequest, last: number, signal: AbortSignal): Promise<void> {
    if (paceMs === 0) return
    const share = mix(last ^ request.seed ^ seed) / 2 ** 32
    const ms = paceMs * (1 - PACE_SPREAD + 2 * PACE_SPREAD * share)
    const left = request.deadlineMs - clock.now()
    await clock.wait(Math.max(0, Math.min(ms, left)), signal)
    if (ms > left) throw new EngineError('the deadline passed while generating', 'deadline')
  }

  return {
    name: 'rehearsal',
    rehearsal: true,
    start: load,
    load,

    async generate(request: GroupRequest, signal: AbortSignal): Promise<GroupReply> {
      signal.throwIfAborted()
      const startedMs = clock.now()
      const model = checkGroupRequest(request, loaded?.facts, profile, startedMs)
      const { vocabulary, environment } = loaded!
      const prompt = digestPrompt(request.promptIds, request.coefficients)
      await pace(request, prompt.last, signal)
      const generatedMs = clock.now()
      const completions = Array.from({ length: request.groupSize }, (_, rollout): Completion => {
        const { ids, finish } = drawCompletion({
          vocabulary,
          environment,
          minTokens: profile.minCompletion,
          maxTokens: request.generation.maxTokens,
          typicalTokens,
          seed: mix(mix(mix(prompt.last ^ seed) ^ request.seed) + rollout),
        })
        return { completionIds: ids, finish, ...prove(request, prompt, ids, model.eosTokenId) }
      })
      const seconds = { generate: (generatedMs - startedMs) / 1_000, prove: (clock.now() - generatedMs) / 1_000 }
      return { model, completions, proofRows: 1, seconds }
    },

    async verify(request: VerifyRequest, signal: AbortSignal): Promise<VerifyReply> {
      signal.throwIfAborted()
      const model = checkVerifyRequest(request, loaded?.facts, profile)
      const { tokens, promptLength } = request
      const prompt = digestPrompt(tokens.subarray(0, promptLength), request.coefficients)
      return prove(request, prompt, tokens.subarray(promptLength), model.eosTokenId)
    },

    async close(): Promise<void> {
      loaded = undefined
    },
  }
}

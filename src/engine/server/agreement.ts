import { randomUUID } from 'node:crypto'
import { logprobVerdict } from '../../protocol/logprob-check.js'
import type { Profile } from '../../protocol/profile.js'
import type { ModelFacts } from '../../window/group.js'
import type { GroupReply, GroupRequest } from '../engine.js'
import { EngineError } from '../engine.js'
import { type Ask, type Dialect, OtherWeights } from './dialect.js'

export interface AgreementParts {
  dialect: Dialect
  profile: Profile
  ask: Ask
  facts: ModelFacts
  version: string
  prove(request: GroupRequest, completions: readonly Int32Array[]): Promise<GroupReply>
}

/** Enough tokens for a median to mean something: 4 × 32. */
const SEQUENCES = 4
const TOKENS = 32
const PROMPT_TOKENS = 32
/** For the proof, which takes a second once the worker is up, ms. */
const PROVE_MS = 300_000

/** Untempered and uncut, where the sampler's log-probabilities and the proof's mean the same. */
const PLAIN = { temperature: 1, topP: 1, topK: 0, repetitionPenalty: 1 }

/**
 * Do server and proof worker hold the same weights? The server may say so (SGLang's weight version is compared with
 * every answer); here it has to show it: the log-probabilities it gives its own tokens must be the worker's, within what
 * the protocol allows between two forwards. It finds a server with other, broken or random weights; weights one training
 * step apart are closer than that, and only told apart by their version.
 * @throws EngineError 'never' when they differ; what the server or the worker throws
 */
export async function agree({ dialect, profile, ask, facts, version, prove }: AgreementParts): Promise<void> {
  const promptIds = Int32Array.from({ length: PROMPT_TOKENS }, (_, i) => (7 + 31 * i) % facts.vocabSize)
  const generation = { ...PLAIN, maxTokens: TOKENS }
  const samples = await Promise.all(
    Array.from({ length: SEQUENCES }, () =>
      dialect.sample(ask, {
        id: randomUUID(),
        promptIds,
        generation,
        eosTokenId: facts.eosTokenId,
        logprobs: true,
        version,
      }),
    ),
  )
  for (const { ids, logprobs } of samples)
    if (ids.length === 0 || logprobs.length !== ids.length || ids.some(id => id < 0 || id >= facts.vocabSize))
      throw new EngineError(
        `the server gave ${logprobs.length} log-probabilities for ${ids.length} ids: its weights cannot be checked`,
        'never',
      )
  const request: GroupRequest = {
    profile: profile.id,
    checkpointWindow: facts.checkpointWindow,
    promptIds,
    groupSize: SEQUENCES,
    generation,
    coefficients: new Int8Array(profile.topk),
    deadlineMs: Date.now() + PROVE_MS,
    seed: 0,
  }
  const { completions, model } = await prove(
    request,
    samples.map(({ ids }) => ids),
  )
  if (model.weightsHash !== facts.weightsHash)
    throw new OtherWeights('the proof worker holds other weights than were loaded')
  const { valid, measure, limit } = logprobVerdict(
    profile,
    completions.flatMap(({ logprobs }) => Array.from(logprobs)),
    samples.flatMap(({ logprobs }) => logprobs),
  )
  if (!valid)
    throw new OtherWeights(
      `the server does not generate with the weights of checkpoint ${facts.checkpointWindow} (${facts.weightsHash}): ` +
        `its log-probabilities are off by ${measure.toFixed(3)}, at most ${limit} is allowed`,
    )
}

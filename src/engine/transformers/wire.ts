import { z } from 'zod'
import { expectedWeights } from '../../checkpoint/expected-weights.js'
import type { Checkpoint, GenerationParams } from '../../checkpoint/metadata.js'
import type { Completion, ModelFacts } from '../../window/group.js'
import type { GroupReply, GroupRequest, VerifyReply, VerifyRequest } from '../engine.js'

// The contract with the worker: snake_case maps, arrays as little-endian bytes (worker and engine share a machine).

/** Copied, since the bytes lie unaligned inside the whole answer (a Buffer's slice() is no copy). */
const words = z
  .instanceof(Uint8Array)
  .refine(data => data.byteLength % 4 === 0, 'not a whole number of 32-bit words')
  .transform(data => new Uint8Array(data).buffer)
const int32 = words.transform(buffer => new Int32Array(buffer))
const float32 = words.transform(buffer => new Float32Array(buffer))

const facts = {
  checkpoint_window: z.int(),
  model_name: z.string(),
  weights_hash: z.string(),
  eos_token_id: z.int(),
  vocab_size: z.int(),
  max_positions: z.int(),
}
export const Facts = z.object(facts).transform(
  (f): ModelFacts => ({
    checkpointWindow: f.checkpoint_window,
    modelName: f.model_name,
    weightsHash: f.weights_hash,
    eosTokenId: f.eos_token_id,
    vocabSize: f.vocab_size,
    maxPositions: f.max_positions,
  }),
)

const proof = {
  sketches: int32,
  logprobs: float32,
  p_eos: z.union([z.number(), z.nan()]),
  dist: z
    .object({ median: z.number(), q10: z.number(), q10_50: z.number(), min: z.number() })
    .transform(({ q10_50, ...rest }) => ({ ...rest, q10First50: q10_50 })),
}
export const Proof = z
  .object(proof)
  .transform(
    (p): VerifyReply => ({ sketches: p.sketches, logprobs: p.logprobs, eosProbability: p.p_eos, distribution: p.dist }),
  )

const Rollout = z.object({ ...proof, completion_ids: int32, finish: z.enum(['eos', 'length']) }).transform(
  (r): Completion => ({
    completionIds: r.completion_ids,
    sketches: r.sketches,
    logprobs: r.logprobs,
    finish: r.finish,
    eosProbability: r.finish === 'eos' ? r.p_eos : Number.NaN,
    distribution: r.dist,
  }),
)
export const Group = z
  .object({
    ...facts,
    rollouts: z.array(Rollout),
    proof_rows: z.int().positive(),
    timings: z.object({ generate: z.number(), prove: z.number() }),
  })
  .transform(
    (g): GroupReply => ({
      model: Facts.parse(g),
      completions: g.rollouts,
      proofRows: g.proof_rows,
      seconds: g.timings,
    }),
  )

export const Health = z.object({ busy: z.boolean(), seconds: z.number().optional() })

function raw(array: Int32Array | Int8Array): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength)
}

function generation(params: GenerationParams): Record<string, number> {
  return {
    max_tokens: params.maxTokens,
    temperature: params.temperature,
    top_p: params.topP,
    top_k: params.topK,
    repetition_penalty: params.repetitionPenalty,
  }
}

export function groupBody(request: GroupRequest): Record<string, unknown> {
  return {
    profile: request.profile,
    checkpoint_window: request.checkpointWindow,
    prompt_ids: raw(request.promptIds),
    coefficients: raw(request.coefficients),
    group_size: request.groupSize,
    generation_params: generation(request.generation),
    deadline_unix_ms: request.deadlineMs,
  }
}

/** Of completions that another program made: the same request, with their ids in place of how many. */
export function proveBody(request: GroupRequest, completions: readonly Int32Array[]): Record<string, unknown> {
  const { group_size: _, ...rest } = groupBody(request)
  return { ...rest, completions: completions.map(raw) }
}

export function verifyBody(request: VerifyRequest): Record<string, unknown> {
  return {
    profile: request.profile,
    checkpoint_window: request.checkpointWindow,
    tokens: raw(request.tokens),
    prompt_length: request.promptLength,
    coefficients: raw(request.coefficients),
    generation_params: generation(request.generation),
    group_lengths: raw(Int32Array.from(request.group?.lengths ?? [])),
    group_at: request.group?.at ?? 0,
    group_rows: request.group?.rows ?? 0,
    whole: request.whole ?? false,
  }
}

export function weightsBody(checkpoint: Checkpoint): Record<string, unknown> {
  const { folder, metadata } = checkpoint
  return {
    checkpoint_dir: folder,
    checkpoint_window: metadata.window,
    model_name: metadata.modelName,
    weights_hash: expectedWeights(checkpoint),
  }
}

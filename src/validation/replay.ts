import type { CheckpointMetadata } from '../checkpoint/metadata.js'
import { type Engine, EngineError, type VerifyReply } from '../engine/engine.js'
import { coefficients } from '../protocol/coefficients.js'
import type { Profile } from '../protocol/profile.js'
import { type Commit, randomnessOf } from './inference.js'

/** An independent forward over a row's tokens. */
export type Replay = VerifyReply

/**
 * Lets an engine compute what a row claims. undefined when the row is too broken to be replayed: then a check before the model's part
 * refuses it. Other engine errors are thrown.
 */
export async function replayOf(
  commit: Commit,
  engine: Engine,
  checkpoint: CheckpointMetadata,
  profile: Profile,
  signal: AbortSignal,
): Promise<Replay | undefined> {
  const { tokens, rollout } = commit
  const promptLength = rollout.promptLength
  if (!(tokens instanceof Int32Array) || typeof promptLength !== 'number') return undefined
  if (!Number.isInteger(promptLength) || promptLength < 1 || promptLength >= tokens.length) return undefined
  let vector: Int8Array
  try {
    vector = coefficients(profile, randomnessOf(commit))
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
  const request = {
    profile: profile.id,
    checkpointWindow: checkpoint.window,
    tokens,
    promptLength,
    coefficients: vector,
    generation: checkpoint.generation,
  }
  try {
    return await engine.verify(request, signal)
  } catch (error) {
    if (error instanceof EngineError && error.next === 'never') return undefined
    throw error
  }
}

/** Positions where the row's sketches are not exactly the replay's: on the same engine and device there are none. */
export function inexactSketches(commit: Commit, replay: Replay): { count: number; first: number } {
  if (!(commit.commitments instanceof Int32Array)) return { count: 0, first: -1 }
  let count = 0
  let first = -1
  for (let i = 0; i < replay.sketches.length; i++) {
    if (commit.commitments[i] === replay.sketches[i]) continue
    if (count++ === 0) first = i
  }
  return { count, first }
}

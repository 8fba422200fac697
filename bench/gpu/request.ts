import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import { canary } from '../../src/engine/canary.js'
import type { Engine, GroupRequest } from '../../src/engine/engine.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import type { Shape } from './shape.js'

const never = new AbortController().signal
/** Nothing here takes longer on a card that works, ms. */
const DEADLINE_MS = 900_000
const COEFFICIENTS = Int8Array.from({ length: GRAIL_V5.topk }, (_, j) => 17 * j - 127)

/** A group of the shape; another number, another prompt. */
export function requestOf(shape: Shape, { metadata }: Checkpoint, number: number): GroupRequest {
  const { vocab_size } = shape.config
  return {
    profile: GRAIL_V5.id,
    checkpointWindow: metadata.window,
    promptIds: Int32Array.from({ length: shape.promptTokens }, (_, i) => (1_000 + 7_919 * (i + number)) % vocab_size),
    groupSize: GRAIL_V5.groupSize,
    generation: metadata.generation,
    coefficients: COEFFICIENTS,
    deadlineMs: Date.now() + DEADLINE_MS,
    seed: number,
  }
}

/** Does the canary sing? Where it does not, the reason is said. */
export async function sings(
  engine: Engine,
  shape: Shape,
  checkpoint: Checkpoint,
  say: (line: string) => void,
): Promise<boolean> {
  const { promptIds, coefficients, deadlineMs } = requestOf(shape, checkpoint, 1)
  const { window: checkpointWindow, generation } = checkpoint.metadata
  const options = { profile: GRAIL_V5, checkpointWindow, generation, promptIds, coefficients, deadlineMs }
  const verdict = await canary(engine, options, never)
  if (!verdict.ok) say(`the canary failed: ${verdict.reason}`)
  return verdict.ok
}

import { expectedWeights } from '../../src/checkpoint/expected-weights.js'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import type { Workshop } from './make-group.js'

/**
 * Why an engine's groups would not be of the checkpoint it was given: a sentence, or undefined when it reports exactly those
 * weights. Metadata that carries no hash is gone by what was computed of the files; where nothing is known nothing is found.
 */
export function otherWeights({ engine, facts }: Workshop, checkpoint: Checkpoint): string | undefined {
  const { metadata } = checkpoint
  if (facts.checkpointWindow !== metadata.window)
    return `the engine holds checkpoint ${facts.checkpointWindow} instead of ${metadata.window}`
  if (facts.weightsHash === '' && !engine.rehearsal)
    return `the engine does not say which weights it holds: checkpoint ${metadata.window} cannot be told from another`
  // A rehearsal repeats what it was told: nothing is read from the files beside its tokenizer.
  const wanted = engine.rehearsal ? metadata.weightsHash.toLowerCase() : expectedWeights(checkpoint)
  if (wanted === '' || facts.weightsHash.toLowerCase() === wanted) return undefined
  return `the engine holds weights ${facts.weightsHash || '(none)'}, checkpoint ${metadata.window} has ${wanted}`
}

import { bucketOf } from './bucket.js'
import { PRIME_Q, type Profile } from './profile.js'

/** Commitment of one position as it stands in a file: `indices` and `position` only where the profile carries them. */
export interface Commitment {
  /** In [0, 2^31 − 1). */
  sketch: number
  /** int[topk], indices into the hidden state, strongest activation first. */
  indices?: number[]
  position?: number
}

/**
 * Indices of the profile's top-k activations by magnitude, in the order the coefficients multiply them: ascending for
 * grail-v5, strongest first for fork-v1 (one-covenant/grail grail/protocol/grail_verifier.py:221-298, 54d6342).
 * Equal magnitudes go by lower index first; torch.topk leaves that order open, so only there may another
 * implementation differ. NaN counts as the largest magnitude, as torch counts it.
 * @param hidden float[hidden size], the last hidden state of one position
 */
export function topkIndices(hidden: ArrayLike<number>, profile: Profile): Int32Array {
  if (hidden.length < profile.topk)
    throw new RangeError(`a hidden state of ${hidden.length} values has no top ${profile.topk}`)
  const magnitude = (index: number) => {
    const value = Math.abs(hidden[index]!)
    return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value
  }
  const isNaNAt = (index: number) => (Number.isNaN(hidden[index]!) ? 0 : 1)
  const ranked = Int32Array.from({ length: hidden.length }, (_, index) => index)
  ranked.sort((a, b) => isNaNAt(a) - isNaNAt(b) || compare(magnitude(b), magnitude(a)) || a - b)
  const chosen = ranked.slice(0, profile.topk)
  return profile.sketchOrder === 'index' ? chosen.sort() : chosen
}

/** Without subtraction: ∞ − ∞ is not a number. */
function compare(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * Sketch of one position from chosen activations: floormod(Σ bucket(hidden[indices[j]]) · coefficients[j], 2^31 − 1).
 * This is also what a fork-v1 validator computes from the miner's own indices.
 * @param indices int[topk] into `hidden`, in the order the coefficients multiply
 * @param coefficients int8[topk]
 */
export function sketchOfIndices(
  hidden: ArrayLike<number>,
  indices: ArrayLike<number>,
  coefficients: Int8Array,
  profile: Profile,
): number {
  let dot = 0
  for (let j = 0; j < indices.length; j++) dot += bucketOf(hidden[indices[j]!]!, profile) * coefficients[j]!
  return dot < 0 ? PRIME_Q + dot : dot
}

/**
 * Sketch of one position in [0, 2^31 − 1) (grail/protocol/grail_verifier.py:221, 54d6342).
 * @param hidden float[hidden size]: bf16 or float32 values, widened
 * @param coefficients int8[topk]
 */
export function sketchOf(hidden: Float32Array | Float64Array, coefficients: Int8Array, profile: Profile): number {
  return sketchOfIndices(hidden, topkIndices(hidden, profile), coefficients, profile)
}

/** Commitment of one position with the keys the profile writes, in its order. `position` counts from the first prompt token. */
export function commitmentOf(
  hidden: Float32Array | Float64Array,
  coefficients: Int8Array,
  position: number,
  profile: Profile,
): Commitment {
  const indices = topkIndices(hidden, profile)
  const commitment: Commitment = { sketch: sketchOfIndices(hidden, indices, coefficients, profile) }
  if (profile.commitmentKeys.includes('indices')) commitment.indices = [...indices]
  if (profile.commitmentKeys.includes('position')) commitment.position = position
  return commitment
}

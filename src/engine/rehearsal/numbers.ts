import type { GenerationParams } from '../../checkpoint/metadata.js'
import { PRIME_Q } from '../../protocol/profile.js'
import type { Distribution } from '../../window/group.js'

/** One round of a 32-bit mixer: every input bit reaches every output bit (the finaliser of MurmurHash3, constants by A. Appleby). */
export function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

/** Number of a stream of u32 words that two streams with different starts do not share in practice (a Weyl sequence, mixed). */
export function words(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    return mix(state)
  }
}

/** Digest of a sequence so far, one token longer. Like a hidden state it depends on everything before it. */
export function extend(context: number, token: number): number {
  return mix(Math.imul(context, 31) ^ (token + 0x7f4a7c15))
}

/**
 * Digests after each token: contexts[i] covers tokens[0..i].
 * @param from digest before tokens[0]
 */
export function contexts(tokens: Int32Array, from = 0): Uint32Array {
  const out = new Uint32Array(tokens.length)
  let context = from
  for (let i = 0; i < tokens.length; i++) {
    context = extend(context, tokens[i]!)
    out[i] = context
  }
  return out
}

/**
 * Sketches of positions, from their contexts: as in the protocol a sum of signed buckets times coefficients, modulo
 * 2^31 − 1, negative sums wrapped; only the buckets come from the context's bits instead of a hidden state.
 * @param buckets magnitudes are 0 … buckets − 1, a power of two
 */
export function sketchesOf(
  states: Uint32Array,
  coefficients: Int8Array,
  buckets: number,
  out: Int32Array,
  at: number,
): void {
  const width = 1 + Math.log2(buckets)
  const perWord = Math.floor(32 / width)
  const sign = buckets
  for (let i = 0; i < states.length; i++) {
    let word = states[i]!
    let sum = 0
    for (let j = 0; j < coefficients.length; j++) {
      if (j % perWord === 0) word = mix(word + j + 1)
      const magnitude = word & (buckets - 1)
      sum += (word & sign ? -magnitude : magnitude) * coefficients[j]!
      word >>>= width
    }
    out[at + i] = sum < 0 ? PRIME_Q + sum : sum
  }
}

/**
 * Log-probability of the token that led to this context, as float32. The probability lies in [1/2, 1), so that the
 * validator's thresholds on EOS and on the distribution hold at every temperature.
 */
export function logprobOf(context: number): number {
  return Math.fround(Math.log(0.5 + mix(context ^ 0x5bd1e995) / 2 ** 33))
}

function quantile(sorted: Float64Array, q: number): number {
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  const value = sorted[low]!
  return low + 1 < sorted.length ? value + (sorted[low + 1]! - value) * (at - low) : value
}

/**
 * What the validator's distribution check would see, recomputable from the log-probabilities alone: at each step the
 * rehearsal knows two outcomes, the chosen token and all others together, and the temperature sharpens or flattens
 * those two. The repetition penalty has no effect here.
 */
export function distributionOf(
  logprobs: Float32Array,
  generation: GenerationParams,
  initialSteps: number,
): Distribution {
  const chosen = new Float64Array(logprobs.length)
  for (let i = 0; i < chosen.length; i++) {
    const p = Math.exp(logprobs[i]!)
    chosen[i] = generation.temperature === 1 ? p : 1 / (1 + ((1 - p) / p) ** (1 / generation.temperature))
  }
  const first = chosen.slice(0, initialSteps).sort()
  const all = chosen.sort()
  return { median: quantile(all, 0.5), q10: quantile(all, 0.1), q10First50: quantile(first, 0.1), min: all[0]! }
}

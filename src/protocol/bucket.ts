import type { Profile } from './profile.js'

/**
 * Smallest |x| of bucket 1, 2, … per number of buckets: where trunc(log2(|x| + 1) · n/10) steps up in the reference's
 * double arithmetic. A table, because Math.log2 and C's log2 differ in their last bit, which is what decides at a step.
 */
const STEPS: Readonly<Record<number, Float64Array>> = {
  8: Float64Array.of(
    1.378414230005442,
    4.65685424949238,
    12.454342644059427,
    30.999999999999993,
    75.10925536017409,
    180.019335983756,
    429.5389646099016,
  ),
  16: Float64Array.of(
    0.5422108254079409,
    1.378414230005442,
    2.6680161728186844,
    4.65685424949238,
    7.724061861322058,
    12.454342644059427,
    19.74943287441615,
    30.999999999999993,
    48.3507464130541,
    75.10925536017409,
    116.37651753019782,
    180.019335983756,
    278.1699795623058,
    429.5389646099016,
    662.9818519813166,
  ),
}

/**
 * Signed logarithmic bucket of one activation, in [−(n−1), n−1] for n = profile.buckets: NaN gives 0, ±∞ the outermost
 * bucket, everything else trunc(log2(|x| + 1) · n/10) clamped, with the sign of x
 * (one-covenant/grail grail/protocol/grail_verifier.py:33, 54d6342).
 * @param x bf16 or float32 widened to a double
 */
export function bucketOf(x: number, profile: Profile): number {
  const steps = bucketSteps(profile)
  const magnitude = Math.abs(x)
  let bucket = 0
  while (bucket < steps.length && magnitude >= steps[bucket]!) bucket++
  return x < 0 ? 0 - bucket : bucket
}

function bucketSteps(profile: Profile): Float64Array {
  const steps = STEPS[profile.buckets]
  if (!steps) throw new RangeError(`no bucket table for ${profile.buckets} buckets (profile ${profile.id})`)
  return steps
}

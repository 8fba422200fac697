import type { Profile } from './profile.js'

/** Smallest magnitude a relative difference is taken against (Agile-Ascent-Limited/Grail grail/validation/validators/environment.py, c66a3e4). */
const MIN_MAGNITUDE = 1e-6

/** What the comparison of claimed and recomputed log-probabilities came to. */
export interface LogprobVerdict {
  valid: boolean
  /** medianRatio: the median of exp(|Δ|) − 1; perPosition: how many positions differ too much. */
  measure: number
  limit: number
}

/**
 * The validator's comparison at the challenged positions. grail-v5: median of exp(|Δ|) − 1 at most 0.10
 * (one-covenant/grail grail/validation/validators/environment.py, 54d6342). fork-v1: at most max(1, n/10) positions off by
 * more than 1e-3 and 2 %. NaN never passes.
 * @param recomputed float[n], from the validator's own forward
 * @param claimed float[n], from the row
 */
export function logprobVerdict(
  profile: Profile,
  recomputed: ArrayLike<number>,
  claimed: ArrayLike<number>,
): LogprobVerdict {
  const rule = profile.logprob
  const differences = Float64Array.from(recomputed, (value, index) => Math.abs(value - claimed[index]!))
  if (rule.kind === 'medianRatio') {
    const measure = median(differences.map(difference => Math.exp(difference) - 1))
    return { valid: measure <= rule.eps, measure, limit: rule.eps }
  }
  const isClose = (difference: number, index: number) =>
    difference <= rule.abs || difference / Math.max(MIN_MAGNITUDE, Math.abs(recomputed[index]!)) <= rule.rel
  const measure = differences.reduce((misses, difference, index) => misses + (isClose(difference, index) ? 0 : 1), 0)
  const limit = Math.max(1, Math.floor(differences.length * rule.missFraction))
  return { valid: measure <= limit, measure, limit }
}

function median(values: Float64Array): number {
  if (values.some(Number.isNaN) || values.length === 0) return Number.NaN
  const sorted = values.slice().sort()
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

import { pythonSum } from './python-sum.js'

/** Smallest divisor, so that a group of equal rewards does not divide by zero (one-covenant/grail grail/environments/advantages.py:14, 54d6342). */
const MIN_DEVIATION = 1e-8

/**
 * GRPO advantages of one group: (r − mean) / max(population standard deviation, 1e-8), float64[n]
 * (grail/environments/advantages.py:6, 54d6342). Sums are compensated the way Python ≥ 3.12 sums floats, which the
 * reference requires; other summation differs in the last bits only, but with equal rewards those are divided by 1e-8.
 * @param sum how floats are added, for files made by older interpreters
 */
export function advantages(
  rewards: readonly number[],
  sum: (values: readonly number[]) => number = pythonSum,
): number[] {
  const count = rewards.length
  const mean = sum(rewards) / count
  const centered = rewards.map(reward => reward - mean)
  const deviation = Math.sqrt(sum(centered.map(value => value * value)) / count)
  const divisor = Math.max(deviation, MIN_DEVIATION)
  return centered.map(value => value / divisor)
}

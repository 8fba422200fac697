import type { Distribution } from '../window/group.js'
import type { Profile } from './profile.js'

/** What a completion's token probabilities can be refused for. */
export type DistributionFault = 'insufficient' | 'median_low' | 'min_low' | 'q10_low' | 'q10_initial_low'

/**
 * The four numbers the distribution check looks at (one-covenant/grail grail/validation/validators/distribution.py:48-277, 54d6342).
 * @param probabilities of the chosen completion tokens, float[C], after repetition penalty and temperature, before top-k and top-p
 */
export function distributionOf(probabilities: ArrayLike<number>, profile: Profile): Distribution {
  const all = Float64Array.from(probabilities)
  const initial = all.slice(0, profile.distribution.initialSteps).sort()
  all.sort()
  return {
    median: quantile(all, 0.5),
    q10: quantile(all, 0.1),
    q10First50: quantile(initial, 0.1),
    min: all[0] ?? Number.NaN,
  }
}

/** The reasons, in the validator's order, to refuse a completion of `steps` tokens with these numbers; NaN is always a reason. */
export function distributionFaults(numbers: Distribution, steps: number, profile: Profile): DistributionFault[] {
  const limits = profile.distribution
  if (steps < limits.minSteps) return ['insufficient']
  const faults: DistributionFault[] = []
  if (!(numbers.median > limits.medianMin)) faults.push('median_low')
  if (!(numbers.min > limits.minProbability)) faults.push('min_low')
  if (!(numbers.q10 > limits.q10Min)) faults.push('q10_low')
  if (!(numbers.q10First50 > limits.q10Min)) faults.push('q10_initial_low')
  return faults
}

/**
 * From how many failing rows on a soft check costs the whole file: max(1, ceil(fraction · rows))
 * (grail/validation/miner_validator.py:903-907, 54d6342). 16 rows and 0.51 give 9.
 * @param rows planned to be checked
 */
export function softFailureLimit(fraction: number, rows: number): number {
  return Math.max(1, Math.ceil(fraction * rows))
}

/** numpy.quantile with linear interpolation over ascending values; NaN for none. */
function quantile(ascending: Float64Array, q: number): number {
  if (ascending.length === 0) return Number.NaN
  const at = (ascending.length - 1) * q
  const below = ascending[Math.floor(at)]!
  const above = ascending[Math.min(Math.floor(at) + 1, ascending.length - 1)]!
  const share = at - Math.floor(at)
  // numpy interpolates from the nearer end, so that share 1 gives exactly the upper value
  return share < 0.5 ? below + (above - below) * share : above - (above - below) * (1 - share)
}

/** What repeated measurements came to. */
export interface Spread {
  median: number
  /** Smallest and largest measurement. */
  low: number
  high: number
  /** Measurements. */
  count: number
}

/**
 * The p-th percentile by nearest rank: a value that was measured, never one between two.
 * @param p in (0, 100]
 * @throws RangeError for no values or another p
 */
export function percentile(values: ArrayLike<number>, p: number): number {
  if (values.length === 0) throw new RangeError('there is no percentile of no values')
  if (!(p > 0 && p <= 100)) throw new RangeError(`${p} is no percentile: above 0, at most 100`)
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.ceil((p / 100) * sorted.length) - 1] as number
}

/** The middle value, or the mean of the two middle ones. @throws RangeError for no values */
export function median(values: ArrayLike<number>): number {
  if (values.length === 0) throw new RangeError('there is no median of no values')
  const sorted = Float64Array.from(values).sort()
  const half = sorted.length >> 1
  const upper = sorted[half] as number
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2
}

/** @throws RangeError for no values */
export function spreadOf(values: ArrayLike<number>): Spread {
  const sorted = Float64Array.from(values).sort()
  return {
    median: median(sorted),
    low: sorted[0] as number,
    high: sorted[sorted.length - 1] as number,
    count: sorted.length,
  }
}

/**
 * Ratios of measurements made side by side: each repetition against the baseline of the same repetition, so that what
 * disturbs both cancels out.
 * @throws RangeError when there are not as many of one as of the other
 */
export function ratiosOf(values: readonly number[], baselines: readonly number[]): number[] {
  if (values.length !== baselines.length)
    throw new RangeError(`${values.length} measurements cannot be compared with ${baselines.length} baselines`)
  return values.map((value, i) => value / (baselines[i] as number))
}

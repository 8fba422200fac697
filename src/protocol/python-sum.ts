/** Python's sum() over floats since 3.12: Neumaier's compensated summation, the compensation dropped when it is not finite. */
export function pythonSum(values: readonly number[]): number {
  let sum = 0
  let lost = 0
  for (const value of values) {
    const next = sum + value
    lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum
    sum = next
  }
  return lost !== 0 && Number.isFinite(lost) ? sum + lost : sum
}

/** Python's math.fsum() over finite floats: the exact sum, rounded once (Shewchuk's partials). */
export function exactSum(values: readonly number[]): number {
  const partials: number[] = []
  for (const value of values) {
    let carried = value
    let kept = 0
    for (const partial of partials) {
      const [large, small] = Math.abs(carried) < Math.abs(partial) ? [partial, carried] : [carried, partial]
      const high = large + small
      const low = small - (high - large)
      if (low !== 0) partials[kept++] = low
      carried = high
    }
    partials.length = kept
    partials.push(carried)
  }
  let sum = partials.pop() ?? 0
  while (partials.length > 0) {
    const before = sum
    const partial = partials.pop()!
    sum = before + partial
    const low = partial - (sum - before)
    if (low === 0) continue
    // halfway cases round to even only once, so look at what lies below
    const below = partials.at(-1)
    if (below !== undefined && low < 0 === below < 0 && below !== 0) {
      const doubled = low * 2
      const rounded = sum + doubled
      if (doubled === rounded - sum) sum = rounded
    }
    break
  }
  return sum
}

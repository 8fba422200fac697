import { ratiosOf, type Spread, spreadOf } from '../measure/statistics.js'

/** What must hold of the value, or of its ratio to the baseline. */
export interface Goal {
  of: 'value' | 'ratio'
  is: 'at most' | 'below' | 'at least'
  limit: number
}

/** One line of the table. */
export interface Figure {
  /** Stable: the last run's figure is found by it. `<benchmark>.<name>` */
  id: string
  title: string
  unit: string
  value: Spread
  baseline?: { name: string; value: Spread }
  /** Of repetitions side by side. */
  ratio?: Spread
  goal?: Goal
  /** Does the median reach the goal? undefined without one */
  met?: boolean
}

export interface FigureParts {
  id: string
  title: string
  unit: string
  /** One per repetition. */
  values: readonly number[]
  /** One per repetition, measured in the same repetition. */
  baseline?: { name: string; values: readonly number[] }
  goal?: Goal
}

/** @throws RangeError for no values, or a ratio asked for without baseline */
export function figure({ id, title, unit, values, baseline, goal }: FigureParts): Figure {
  const value = spreadOf(values)
  const ratio = baseline && spreadOf(ratiosOf(values, baseline.values))
  const judged = goal?.of === 'ratio' ? ratio : value
  if (goal && !judged) throw new RangeError(`${id} has a goal for its ratio and no baseline`)
  return {
    id,
    title,
    unit,
    value,
    ...(baseline && ratio ? { baseline: { name: baseline.name, value: spreadOf(baseline.values) }, ratio } : {}),
    ...(goal && judged ? { goal, met: reaches(judged.median, goal) } : {}),
  }
}

function reaches(median: number, { is, limit }: Goal): boolean {
  if (is === 'at least') return median >= limit
  return is === 'below' ? median < limit : median <= limit
}

import { type Figure, figure, type Goal } from '../report/figure.js'
import type { Replayed } from './replay.js'

const ALL: Goal = { of: 'value', is: 'at least', limit: 1 }
/** A validator refuses what is further apart. */
const ALLOWED: Goal = { of: 'value', is: 'at most', limit: 100 }

/** The worst of what was replayed. */
export function replayFigures(id: string, replayed: readonly Replayed[]): Figure[] {
  const worst = (of: (one: Replayed) => number) => [100 * Math.max(...replayed.map(of))]
  return [
    figure({
      id: `${id}.replay`,
      title: '  sequences replayed bit for bit, of all of a group',
      unit: '',
      values: [Math.min(...replayed.map(({ exact }) => exact))],
      goal: ALL,
    }),
    figure({
      id: `${id}.sketch`,
      title: '  in a forward of its own shape: a sketch apart, of what is allowed',
      unit: '%',
      values: worst(({ sketchApart }) => sketchApart),
      goal: ALLOWED,
    }),
    figure({
      id: `${id}.logprob`,
      title: '  … log-probabilities apart, of what is allowed',
      unit: '%',
      values: worst(({ logprobApart }) => logprobApart),
      goal: ALLOWED,
    }),
  ]
}

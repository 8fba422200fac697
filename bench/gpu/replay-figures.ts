import { type Figure, figure, type Goal } from '../report/figure.js'
import type { Replayed } from './replay.js'

const ALL: Goal = { of: 'value', is: 'at least', limit: 1 }
/** A validator refuses what is further apart. */
const ALLOWED: Goal = { of: 'value', is: 'at most', limit: 100 }

/**
 * The worst of what was replayed.
 * @param whose e.g. 'transformers engine': the page lists what has a goal by itself
 */
export function replayFigures(id: string, whose: string, replayed: readonly Replayed[]): Figure[] {
  const worst = (of: (one: Replayed) => number) => [100 * Math.max(...replayed.map(of))]
  return [
    figure({
      id: `${id}.replay`,
      title: `${whose}: sequences replayed bit for bit, of all of a group`,
      unit: '',
      values: [Math.min(...replayed.map(({ exact }) => exact))],
      goal: ALL,
    }),
    figure({
      id: `${id}.sketch`,
      title: `${whose}: read whole and alone a sketch is apart, of what is allowed`,
      unit: '%',
      values: worst(({ sketchApart }) => sketchApart),
      goal: ALLOWED,
    }),
    figure({
      id: `${id}.logprob`,
      title: `${whose}: … and log-probabilities`,
      unit: '%',
      values: worst(({ logprobApart }) => logprobApart),
      goal: ALLOWED,
    }),
  ]
}

/** @param sang 1 where a canary sang */
export function canaryFigure(id: string, whose: string, sang: readonly number[]): Figure {
  return figure({
    id: `${id}.canary`,
    title: `${whose}: every canary sang`,
    unit: '',
    values: [Math.min(...sang)],
    goal: ALL,
  })
}

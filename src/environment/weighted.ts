import type { Reward } from './environment.js'

/** A reward with the parts it was summed from, in the reference's order: for diagnosis and for the vectors. */
export interface Judgement extends Reward {
  components: number[]
}

/** Σ weight·component from left to right in doubles, as the reference sums (grail/environments/base.py, RewardVector, 54d6342). */
export function weighted(components: readonly number[], weights: readonly number[]): number {
  let total = 0
  for (let i = 0; i < components.length; i++) total += weights[i]! * components[i]!
  return total
}

/** 0.2 for nothing after the solution, less 0.001 per trailing code point, never below 0; 0 without a solution (grail/environments/reward_components.py, 54d6342). */
export function noTrailingReward(hasSolution: boolean, trailing: number): number {
  return hasSolution ? Math.max(0, 0.2 - 0.001 * trailing) : 0
}

import { advantages } from './advantages.js'
import type { Profile } from './profile.js'
import { pythonSum } from './python-sum.js'

/** How far the advantages of a group may be from summing to zero (one-covenant/grail grail/validation/miner_validator.py:1445-1505, 54d6342). */
export const ADVANTAGE_SUM_TOLERANCE = 0.01
/** How far each advantage may be from the one recomputed from the claimed rewards (same place). */
export const ADVANTAGE_TOLERANCE = 1e-3

/** What a GRPO group can be refused for. */
export type GroupFault = 'group_size' | 'advantage_sum' | 'advantage' | 'env_seed'

/** The claims of one row that the group check reads. */
export interface GroupMember {
  reward: number
  advantage: number
  /** `commit.env.seed`; grail-v5 files carry none. */
  envSeed?: string | number | bigint | null | undefined
}

/**
 * The validator's check of one group: its size, advantages that sum to zero and follow from the claimed rewards, and one
 * environment seed for all (miner_validator.py:1445-1505, 54d6342). Returns the first fault, or undefined. NaN passes
 * here as it passes there: the gate, which refuses it, comes before anything is uploaded.
 */
export function groupFault(members: readonly GroupMember[], profile: Profile): GroupFault | undefined {
  if (members.length !== profile.groupSize) return 'group_size'
  const claimed = members.map(member => member.advantage)
  if (Math.abs(pythonSum(claimed)) > ADVANTAGE_SUM_TOLERANCE) return 'advantage_sum'
  const expected = advantages(members.map(member => member.reward))
  if (claimed.some((advantage, index) => Math.abs(advantage - expected[index]!) > ADVANTAGE_TOLERANCE))
    return 'advantage'
  if (new Set(members.map(member => member.envSeed ?? null)).size > 1) return 'env_seed'
  return undefined
}

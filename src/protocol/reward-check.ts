import type { Profile } from './profile.js'

/**
 * Is the claimed reward close enough to the recomputed one? Python's math.isclose: |a − b| ≤ max(rel · max(|a|, |b|), abs)
 * (one-covenant/grail grail/validation/validators/environment.py, 54d6342). NaN is close to nothing, ∞ only to itself.
 */
export function rewardClose(profile: Profile, claimed: number, recomputed: number): boolean {
  if (claimed === recomputed) return true
  if (!Number.isFinite(claimed) || !Number.isFinite(recomputed)) return false
  const { rel, abs } = profile.reward
  return Math.abs(claimed - recomputed) <= Math.max(rel * Math.max(Math.abs(claimed), Math.abs(recomputed)), abs)
}

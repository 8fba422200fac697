import type { Profile } from './profile.js'

/** Why a completion's end is refused. */
export type TerminationFault = 'too_long' | 'no_eos' | 'eos_improbable'

/** How a completion ended. */
export interface Termination {
  /** C, tokens. */
  completionLength: number
  /** The checkpoint's max_tokens; the profile's cap applies on top. */
  maxTokens: number
  lastToken: number
  /** Only the tokenizer's own EOS counts, not further stop ids of a generation config. */
  eosTokenId: number
  /** softmax(logits[−2])[eos]; undefined where no model can tell, then it is not judged. */
  eosProbability?: number | undefined
}

/** Longest completion under a checkpoint, tokens (one-covenant/grail grail/validation/validators/termination.py, 54d6342). */
export function longestCompletion(profile: Profile, maxTokens: number): number {
  return Math.min(maxTokens, profile.maxNewTokens)
}

/**
 * The validator's rule for how a completion ends: exactly at the limit, or earlier on an EOS the model itself found
 * probable enough (termination.py, 54d6342). Returns undefined when it is met.
 */
export function terminationFault(profile: Profile, end: Termination): TerminationFault | undefined {
  const limit = longestCompletion(profile, end.maxTokens)
  if (end.completionLength > limit) return 'too_long'
  if (end.completionLength === limit) return undefined
  if (end.lastToken !== end.eosTokenId) return 'no_eos'
  if (end.eosProbability !== undefined && !(end.eosProbability >= profile.minEosProbability)) return 'eos_improbable'
  return undefined
}

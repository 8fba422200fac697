import { tokensHash } from './binding.js'
import { PRF_LABEL, prf } from './prf.js'
import type { Profile } from './profile.js'
import { PythonRandom } from './python-random.js'
import { cleanHex, randomnessBytes } from './randomness.js'

/** Below this share of the domain the reference samples, from it on it shuffles (one-covenant/grail grail/protocol/crypto.py:238, 54d6342). */
const SAMPLE_SHARE = 0.1

/** The tokens that bind the choice: as they are, or their `tokensHash` when it is known already. */
export type BindingTokens = ArrayLike<number | bigint> | { hash: Uint8Array }

/**
 * Positions of the full sequence that a validator opens: up to profile.challengeK of the completion, ascending
 * (grail/protocol/crypto.py:253, 54d6342).
 * @param randomness the validator's challenge randomness, hex
 */
export function challengeIndices(
  profile: Profile,
  tokens: BindingTokens,
  randomness: string,
  promptLength: number,
  completionLength: number,
): number[] {
  return indicesInRange(tokens, randomness, promptLength, promptLength + completionLength, profile.challengeK)
}

/**
 * `count` positions of [start, end), ascending; all of them when there are fewer, none of an empty range
 * (grail/protocol/crypto.py:253, 54d6342). Throws RangeError for a negative or turned range.
 */
export function indicesInRange(
  tokens: BindingTokens,
  randomness: string,
  start: number,
  end: number,
  count: number,
): number[] {
  if (start < 0 || end < start) throw new RangeError(`[${start}, ${end}) is not a range of positions`)
  if (end === start) return []
  return indicesFromRoot(tokens, randomness, end - start, Math.min(count, end - start)).map(index => start + index)
}

/** Bytes that seed the choice, 32: PRF('open', tokensHash, randomness) (grail/protocol/crypto.py:222, 54d6342). */
export function challengeMaterial(tokens: BindingTokens, randomness: string): Buffer {
  const hash = 'hash' in tokens ? tokens.hash : tokensHash(tokens)
  return prf(PRF_LABEL.open, [hash, randomnessBytes(randomness)], 32)
}

/**
 * `count` of the indices below `length`, ascending (grail/protocol/crypto.py:184, 54d6342). Throws RangeError for no
 * tokens, empty or non-hex randomness, and a count outside [1, length].
 */
export function indicesFromRoot(tokens: BindingTokens, randomness: string, length: number, count: number): number[] {
  if (!(count > 0 && count <= length)) throw new RangeError(`cannot choose ${count} of ${length} positions`)
  if (!('hash' in tokens) && tokens.length === 0) throw new RangeError('there are no tokens to bind the choice to')
  if (cleanHex(randomness) === '') throw new RangeError('the challenge randomness is empty')
  const random = new PythonRandom(challengeMaterial(tokens, randomness))
  if (count < length * SAMPLE_SHARE) return random.sampleRange(length, count).sort((a, b) => a - b)
  const order = Uint32Array.from({ length }, (_, index) => index)
  random.shuffle(order)
  return [...order.subarray(0, count).sort()]
}

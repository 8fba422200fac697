import { PRF_LABEL, prf } from './prf.js'
import { cleanHex, randomnessBytes } from './randomness.js'

/** Widest vector the reference's own check lets pass; the PRF's limit of 65,536 bytes ends it at 16,384 already. */
const MAX_WIDTH = 100_000

/**
 * Projection vector of a proof scheme older than v1, int32[width], big-endian values from PRF('sketch', randomness)
 * (one-covenant/grail grail/protocol/crypto.py:98, 54d6342). Kept for reading old material; no live proof uses it.
 * Throws RangeError for a width or randomness the reference refuses.
 */
export function legacyVector(randomness: string, width: number): Int32Array {
  if (!Number.isInteger(width) || width <= 0 || width > MAX_WIDTH)
    throw new RangeError(`width ${width} is not within 1 and ${MAX_WIDTH}`)
  if (cleanHex(randomness) === '') throw new RangeError('the randomness is empty')
  const raw = prf(PRF_LABEL.sketch, [randomnessBytes(randomness)], 4 * width)
  return Int32Array.from({ length: width }, (_, index) => raw.readInt32BE(4 * index))
}

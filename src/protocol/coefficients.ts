import { PRF_LABEL, prf } from './prf.js'
import type { Profile } from './profile.js'
import { randomnessBytes } from './randomness.js'

const INT16_MIN = -32_768

/**
 * One PRF value as a coefficient: floormod(abs16(v), 2R + 1) − R (one-covenant/grail grail/protocol/grail_verifier.py:213-219, 54d6342).
 * abs16(−32768) overflows to −32768 in the reference's int16 arithmetic, so that one value maps to 0 for R = 127.
 * @param value int16
 * @param range R, the largest magnitude of a coefficient
 */
export function coefficientOf(value: number, range: number): number {
  const modulus = 2 * range + 1
  const magnitude = value === INT16_MIN ? INT16_MIN : Math.abs(value)
  return (((magnitude % modulus) + modulus) % modulus) - range
}

/**
 * The coefficients that a window's randomness gives to the top-k activations, int8[topk]
 * (grail/protocol/grail_verifier.py:186, 54d6342): big-endian int16 values from PRF('sketch', randomness).
 * Throws RangeError when the randomness, cleaned of 0x and padded to whole bytes, is not hex.
 */
export function coefficients(profile: Profile, randomnessHex: string): Int8Array {
  const raw = prf(PRF_LABEL.sketch, [randomnessBytes(randomnessHex)], 2 * profile.topk)
  const values = new Int8Array(profile.topk)
  for (let j = 0; j < profile.topk; j++) values[j] = coefficientOf(raw.readInt16BE(2 * j), profile.coefficientRange)
  return values
}

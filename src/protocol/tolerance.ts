import { PRIME_Q, type Profile } from './profile.js'

/**
 * How far apart two sketches of one position may be: trunc(6000 + 5·√position) for grail-v5
 * (one-covenant/grail grail/protocol/grail_verifier.py:129, 54d6342), trunc(50·(2 − 1/(1 + position/100))) for fork-v1
 * (Agile-Ascent-Limited/Grail grail/protocol/grail_verifier.py:146, c66a3e4).
 * @param position index in the full sequence, prompt included; RangeError when negative
 */
export function sketchTolerance(profile: Profile, position: number): number {
  if (!(position >= 0)) throw new RangeError(`position ${position} is negative`)
  const rule = profile.tolerance
  if (rule.kind === 'sqrt') return Math.trunc(rule.base + rule.growth * Math.sqrt(position))
  return Math.trunc(rule.base * (2 - 1 / (1 + position / rule.decay)))
}

/**
 * Distance of two sketches modulo 2^31 − 1 as the reference takes it, min(|a − b|, q − |a − b|)
 * (grail/protocol/grail_verifier.py:300, 54d6342). Negative when a sketch lies beyond the modulus: such a value is never
 * a sketch, so callers must ask `isSketch` too.
 */
export function sketchDistance(a: number, b: number): number {
  const difference = Math.abs(a - b)
  return Math.min(difference, PRIME_Q - difference)
}

/** Is this value an integer in [0, 2^31 − 1)? The reference does not ask; a conforming file holds nothing else. */
export function isSketch(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < PRIME_Q
}

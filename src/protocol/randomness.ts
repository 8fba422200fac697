import { createHash } from 'node:crypto'
import { bytesFromHex, strip, utf8 } from './python-text.js'

/**
 * Normal form of a randomness text: trimmed, every '0x' removed, then every '0X', and one '0' in front of an odd number
 * of digits (one-covenant/grail grail/protocol/signatures.py:66, grail/protocol/grail_verifier.py:199, 54d6342).
 * Says nothing about whether the rest is hex: `randomnessBytes` does.
 */
export function cleanHex(text: string): string {
  const digits = strip(text).replaceAll('0x', '').replaceAll('0X', '')
  return digits.length % 2 === 0 ? digits : `0${digits}`
}

/** Bytes of a randomness text after `cleanHex`. Throws RangeError when they are not hex. */
export function randomnessBytes(text: string): Buffer {
  return bytesFromHex(cleanHex(text))
}

/**
 * Randomness of a window as 64 hex digits without 0x: sha256 over the texts of block hash (0x kept) and drand randomness
 * (grail/cli/mine.py:230, 54d6342). Without a beacon it is sha256 over the hash alone: the reference hands on the
 * raw 0x text there, which its own validator's schema refuses, and validators never compare the value.
 */
export function windowRandomness(windowHash: string, drandHex?: string): string {
  return createHash('sha256')
    .update(utf8(windowHash + (drandHex ?? '')))
    .digest('hex')
}

/**
 * What the reference miner itself returns, its raw 0x hash for a missing beacon included (grail/cli/mine.py:230, 54d6342).
 * Only for judging old files and vectors: such a value fails the schema check of every validator.
 */
export function referenceMinerRandomness(windowHash: string, drandHex?: string): string {
  return drandHex === undefined ? windowHash : windowRandomness(windowHash, drandHex)
}

/**
 * Randomness that chooses the positions a validator opens, 64 hex digits: sha256 over the texts of the hash and, when it
 * has one, the validator's drand value (grail/validation/service.py:1170, 54d6342).
 * @param challengeHash hash of block W+30 for grail-v5, of block W for fork-v1
 */
export function challengeRandomness(challengeHash: string, drandHex?: string): string {
  return windowRandomness(challengeHash, drandHex)
}

import { createHash } from 'node:crypto'
import { pythonInt } from './python-number.js'

/**
 * Digest of a completion for copycat detection and the count of unique rollouts, 64 hex digits: sha256 of the compact
 * JSON array of tokens[promptLength:], sliced as Python slices, so a negative length counts from the end
 * (one-covenant/grail grail/shared/digest.py:14, 54d6342). undefined for no tokens.
 * @param promptLength read as Python's int() reads it; what it refuses counts as 0
 */
export function completionDigest(tokens: ArrayLike<number>, promptLength: unknown): string | undefined {
  if (tokens.length === 0) return undefined
  const completion = Array.prototype.slice.call(tokens, sliceStart(promptLength))
  return createHash('sha256')
    .update(`[${completion.join(',')}]`)
    .digest('hex')
}

function sliceStart(promptLength: unknown): number {
  if (typeof promptLength === 'number' && Number.isSafeInteger(promptLength)) return promptLength
  try {
    return Number(pythonInt(promptLength))
  } catch {
    return 0
  }
}

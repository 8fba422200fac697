import { createHash } from 'node:crypto'

/** Longest output the reference allows, bytes (one-covenant/grail grail/protocol/crypto.py:57, 54d6342). */
export const PRF_MAX_BYTES = 65_536

/** Domain labels of the PRF (grail/protocol/constants.py, 54d6342). */
export const PRF_LABEL = { sketch: Buffer.from('sketch'), open: Buffer.from('open'), sat: Buffer.from('sat') } as const

const SEPARATOR = Buffer.from('||')

/**
 * SHAKE256 over label ‖ '||' ‖ part ‖ '||' ‖ … ‖ part (grail/protocol/crypto.py:34, 54d6342). The join is not injective:
 * parts ['a||b'] and ['a','b'] give the same bytes. Throws RangeError when `bytes` is not an integer in [0, 65536].
 */
export function prf(label: Uint8Array, parts: readonly Uint8Array[], bytes: number): Buffer {
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > PRF_MAX_BYTES)
    throw new RangeError(`prf: ${bytes} bytes asked for; allowed are 0 to ${PRF_MAX_BYTES}`)
  if (bytes === 0) return Buffer.alloc(0)
  const hash = createHash('shake256', { outputLength: bytes }).update(label).update(SEPARATOR)
  parts.forEach((part, index) => {
    if (index > 0) hash.update(SEPARATOR)
    hash.update(part)
  })
  return hash.digest()
}

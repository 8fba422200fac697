import { createHash } from 'node:crypto'
import { pythonInt } from './python-number.js'
import { utf8 } from './python-text.js'

/**
 * Seed of problem `index` for one hotkey and window, u32: the first 8 hex digits of
 * sha256('seed|' ‖ hotkey ‖ ':' ‖ windowHash ‖ ':' ‖ decimal index), one-covenant/grail grail/protocol/signatures.py:163, 54d6342.
 *
 * The window hash counts as text: its 0x and its letter case matter.
 * @param index read as Python's int() reads it; what int() refuses counts as 0
 */
export function deriveEnvSeed(
  hotkey: string,
  windowHash: string,
  index: number | bigint | string | boolean | null,
): number {
  const material = utf8(`seed|${hotkey}:${windowHash}:${decimalIndex(index)}`)
  return createHash('sha256').update(material).digest().readUInt32BE(0)
}

function decimalIndex(index: number | bigint | string | boolean | null): string {
  if (typeof index === 'number' && Number.isSafeInteger(index)) return index.toString()
  try {
    return pythonInt(index).toString()
  } catch {
    return '0'
  }
}

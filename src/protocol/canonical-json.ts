import { createHash } from 'node:crypto'
import type { PythonDict, PythonJson } from './python-json.js'
import { floatRepr } from './python-number.js'

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

/**
 * Python's json.dumps(value, sort_keys=True, separators=(',', ':')): ASCII only, keys in code-point order, floats as
 * repr() writes them, NaN and Infinity as bare words. Throws TypeError where Python cannot sort keys of mixed kinds.
 */
export function canonicalJson(value: PythonJson): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') return floatText(value)
  if (typeof value === 'string') return asciiJsonString(value)
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  const entries = sortedKeys(value).map(key => `${asciiJsonString(keyText(key))}:${canonicalJson(value.get(key)!)}`)
  return `{${entries.join(',')}}`
}

/**
 * sha256 of the canonical JSON of any commitments, 32 bytes; what cannot be encoded hashes as nothing
 * (one-covenant/grail grail/protocol/signatures.py:31, 54d6342). For sketches alone `commitmentsHash` is the fast way.
 */
export function hashOfCommitments(commitments: PythonJson): Buffer {
  let encoded = ''
  try {
    encoded = canonicalJson(commitments)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
  }
  return createHash('sha256').update(encoded).digest()
}

/** A JSON string literal in ASCII, as json.dumps writes it: everything outside space to tilde is escaped, in UTF-16 units. */
function asciiJsonString(text: string): string {
  const escaped = text.replace(/["\\]|[^ -~]/g, unit => {
    return ESCAPES[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
  return `"${escaped}"`
}

function floatText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  return floatRepr(value)
}

type Key = PythonDict extends Map<infer K, PythonJson> ? K : never

function keyText(key: Key): string {
  if (typeof key === 'string') return key
  return canonicalJson(key)
}

function sortedKeys(dict: PythonDict): Key[] {
  const keys = [...dict.keys()]
  if (keys.length < 2) return keys
  if (keys.every(key => typeof key === 'string')) return keys.sort(byCodePoint)
  if (keys.every(key => typeof key === 'bigint' || typeof key === 'number' || typeof key === 'boolean'))
    return keys.sort((a, b) => (Number(a) < Number(b) ? -1 : 1))
  throw new TypeError('keys of different kinds cannot be sorted')
}

/** Order of Unicode code points: JavaScript's own order of UTF-16 units puts U+1F600 before U+FFFF. */
export function byCodePoint(a: string, b: string): number {
  const left = Array.from(a, character => character.codePointAt(0)!)
  const right = Array.from(b, character => character.codePointAt(0)!)
  const differs = left.findIndex((code, index) => code !== right[index])
  if (differs < 0) return left.length - right.length
  return differs < right.length ? left[differs]! - right[differs]! : 1
}

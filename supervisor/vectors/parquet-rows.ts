import { type PythonJson, parsePythonJson } from '../../src/protocol/python-json.js'
import { floatRepr } from '../../src/protocol/python-number.js'
import type { ReadRow } from '../../src/window/parquet/read-row.js'
import { same } from './check.js'

/** Rows are the same when every column is; JSON columns by what they mean. */
export function sameRows(actual: readonly unknown[], expected: readonly unknown[]): string | undefined {
  if (actual.length !== expected.length) return `${actual.length} rows instead of ${expected.length}`
  for (const [i, row] of actual.entries()) {
    const differs = same(comparable(row as ReadRow), comparable(expected[i] as ReadRow))
    if (differs) return `row ${i}: ${differs}`
  }
  return undefined
}

const JSON_COLUMNS = new Set(['commitments', 'beacon', 'trajectory'])

/** Sorted keys, plain arrays, parsed JSON, floats that JSON cannot hold as text. */
export function comparable(value: unknown, name = ''): unknown {
  if (typeof value === 'string' && JSON_COLUMNS.has(name)) return comparable(parsePythonJson(value))
  if (value instanceof Map) return comparable(Object.fromEntries(value as Map<string, PythonJson>))
  if (typeof value === 'number' && !Number.isFinite(value)) return floatRepr(value)
  if (typeof value === 'bigint') return Number(value)
  if (ArrayBuffer.isView(value)) return Array.from(value as Int32Array, item => comparable(item))
  if (Array.isArray(value)) return value.map(item => comparable(item))
  if (typeof value !== 'object' || value === null) return value ?? null
  return sorted(Object.fromEntries(Object.entries(value).map(([key, item]) => [key, comparable(item, key)])))
}

export function sorted(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

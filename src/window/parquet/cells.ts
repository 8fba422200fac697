import type { Slice } from './chunk-reader.js'
import type { ColumnFacts } from './columns.js'
import type { Numbers } from './row.js'
import { UnreadableFile } from './unreadable.js'
import { isByteStrings, type Values } from './values.js'

/** One value of a row as Python would hold it; bytes stay bytes. */
export type Cell = number | bigint | boolean | string | Uint8Array | null

const decoder = new TextDecoder('utf-8', { fatal: true })

/** The value of a plain column in a row. @throws UnreadableFile for text that is not UTF-8, as Python's conversion raises */
export function cellOf(column: ColumnFacts, slice: Slice): Cell {
  return slice.valueFrom === slice.valueTo ? null : valueAt(column, slice.page.values, slice.valueFrom)
}

/** The value of a list column in a row: a typed array where it can be a view of the page, else an array with nulls. */
export function listOf(column: ColumnFacts, slices: Slice[]): Numbers | Cell[] | null {
  const { present, filled } = column.list as { present: number; filled: number }
  const [first] = slices as [Slice]
  const level = definitionAt(first, first.from) ?? column.leaf.definition
  if (level < present) return null
  if (level < filled) return []
  const whole = slices.length === 1 && first.valueTo - first.valueFrom === first.to - first.from
  const { values } = first.page
  if (
    whole &&
    !column.unsigned &&
    (values instanceof Int32Array || values instanceof Float32Array || values instanceof Float64Array)
  )
    return values.subarray(first.valueFrom, first.valueTo)
  return slices.flatMap(slice => {
    let next = slice.valueFrom
    return Array.from({ length: slice.to - slice.from }, (_, i) => {
      const level = definitionAt(slice, slice.from + i)
      return level === undefined || level === column.leaf.definition ? valueAt(column, slice.page.values, next++) : null
    })
  }) as Cell[]
}

/** Definition level of an entry; undefined where every level is REQUIRED. */
export function definitionAt(slice: Slice, entry: number): number | undefined {
  return slice.page.definitions?.[entry]
}

function valueAt(column: ColumnFacts, values: Values, at: number): Cell {
  if (isByteStrings(values)) {
    const bytes = values.bytes.subarray(values.starts[at], values.ends[at])
    if (column.kind === 'bytes') return bytes
    try {
      return decoder.decode(bytes)
    } catch (cause) {
      throw new UnreadableFile('reader_exception', `column ${column.path} holds text that is not UTF-8`, { cause })
    }
  }
  const value = values[at] as number | bigint
  if (column.kind === 'bool') return value === 1
  if (typeof value === 'bigint') {
    const wide = column.unsigned ? BigInt.asUintN(64, value) : value
    const narrow = Number(wide)
    return Number.isSafeInteger(narrow) ? narrow : wide
  }
  return column.unsigned ? value >>> 0 : value
}

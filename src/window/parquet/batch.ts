import {
  Bool,
  type Data,
  DataType,
  type Field,
  type Int64,
  type LargeList,
  type LargeUtf8,
  type List,
  makeData,
  RecordBatch,
  type Schema,
  Struct,
  type Utf8,
} from 'apache-arrow'
import type { WindowRow } from './row.js'

const encoder = new TextEncoder()

/**
 * The rows as one Arrow record batch, built column by column from typed arrays: list values that already are typed arrays of the
 * column's type are copied whole. A missing or null value becomes a null of its column.
 * @throws RangeError | TypeError when a value does not fit its column's type
 */
export function recordBatchOf(schema: Schema, rows: readonly WindowRow[]): RecordBatch {
  const type = new Struct(schema.fields)
  const children = type.children.map(field => dataOf(field.type, column(rows, field.name)))
  return new RecordBatch(schema, makeData({ type, length: rows.length, nullCount: 0, children }))
}

function column(rows: readonly unknown[], name: string): unknown[] {
  return rows.map(row => (row as Record<string, unknown> | null | undefined)?.[name] ?? null)
}

function dataOf(type: DataType, values: readonly unknown[]): Data {
  const length = values.length
  const { nullBitmap, nullCount } = validity(values)
  if (DataType.isStruct(type)) {
    const children = type.children.map((field: Field) => dataOf(field.type, column(values, field.name)))
    return makeData({ type, length, nullCount, nullBitmap, children })
  }
  if (DataType.isList(type) || DataType.isLargeList(type)) return listOf(type, values, nullBitmap, nullCount)
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type)) return textOf(type, values, nullBitmap, nullCount)
  if (DataType.isBool(type)) {
    const data = new Uint8Array((length + 7) >> 3)
    values.forEach((value, i) => {
      if (value !== null && typeof value !== 'boolean') throw new TypeError(`${String(value)} is no boolean`)
      if (value) data[i >> 3] = (data[i >> 3] as number) | (1 << (i & 7))
    })
    return makeData({ type: new Bool(), length, nullCount, nullBitmap, data })
  }
  if (DataType.isInt(type) && type.bitWidth === 64) {
    const data = BigInt64Array.from(values, value => (value === null ? 0n : int64(value)))
    return makeData({ type: type as Int64, length, nullCount, nullBitmap, data })
  }
  if (DataType.isInt(type)) {
    const data = type.isSigned
      ? Int32Array.from(values, value => (value === null ? 0 : int32(value)))
      : Uint32Array.from(values, value => (value === null ? 0 : uint32(value)))
    return makeData({ type, length, nullCount, nullBitmap, data })
  }
  if (DataType.isFloat(type)) {
    const data = new (type.ArrayType as Float32ArrayConstructor | Float64ArrayConstructor)(length)
    values.forEach((value, i) => {
      if (value !== null && typeof value !== 'number') throw new TypeError(`${String(value)} is no number`)
      data[i] = value ?? 0
    })
    return makeData({ type, length, nullCount, nullBitmap, data })
  }
  throw new TypeError(`a window file has no column of type ${String(type)}`)
}

/** Items of all lists laid end to end, with offsets int32[rows + 1]. */
function listOf(
  type: List | LargeList,
  values: readonly unknown[],
  nullBitmap: Uint8Array | undefined,
  nullCount: number,
): Data {
  const lists = values as (ArrayLike<unknown> | null)[]
  const valueOffsets = offsetsOf(lists.map(list => list?.length ?? 0))
  const itemType = (type.children[0] as Field).type
  const total = valueOffsets[lists.length] as number
  const Matching = DataType.isBool(itemType) ? undefined : (itemType.ArrayType as Int32ArrayConstructor)
  const child =
    Matching && lists.every(list => list === null || list instanceof Matching)
      ? makeData({ type: itemType as never, length: total, nullCount: 0, data: joined(Matching, lists, total) })
      : dataOf(
          itemType,
          lists.flatMap(list => (list ? Array.from(list) : [])),
        )
  if (DataType.isLargeList(type))
    return makeData({ type, length: lists.length, nullCount, nullBitmap, valueOffsets: widened(valueOffsets), child })
  return makeData({ type, length: lists.length, nullCount, nullBitmap, valueOffsets, child })
}

function joined(Matching: Int32ArrayConstructor, lists: (ArrayLike<unknown> | null)[], total: number): Int32Array {
  const data = new Matching(total)
  let at = 0
  for (const list of lists) {
    if (!list) continue
    data.set(list as Int32Array, at)
    at += list.length
  }
  return data
}

function textOf(
  type: Utf8 | LargeUtf8,
  values: readonly unknown[],
  nullBitmap: Uint8Array | undefined,
  nullCount: number,
): Data {
  const texts = values.map(value => {
    if (value === null) return new Uint8Array(0)
    if (value instanceof Uint8Array) return value
    if (typeof value === 'string') return encoder.encode(value)
    throw new TypeError(`${String(value)} is no text`)
  })
  const valueOffsets = offsetsOf(texts.map(text => text.length))
  const data = new Uint8Array(valueOffsets[texts.length] as number)
  texts.forEach((text, i) => {
    data.set(text, valueOffsets[i])
  })
  if (DataType.isLargeUtf8(type))
    return makeData({ type, length: texts.length, nullCount, nullBitmap, valueOffsets: widened(valueOffsets), data })
  return makeData({ type, length: texts.length, nullCount, nullBitmap, valueOffsets, data })
}

function offsetsOf(lengths: number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1)
  lengths.forEach((length, i) => {
    offsets[i + 1] = (offsets[i] as number) + length
  })
  return offsets
}

function validity(values: readonly unknown[]): { nullBitmap: Uint8Array | undefined; nullCount: number } {
  const nullCount = values.reduce<number>((sum, value) => sum + (value === null ? 1 : 0), 0)
  if (nullCount === 0) return { nullBitmap: undefined, nullCount }
  const nullBitmap = new Uint8Array((values.length + 7) >> 3)
  values.forEach((value, i) => {
    if (value !== null) nullBitmap[i >> 3] = (nullBitmap[i >> 3] as number) | (1 << (i & 7))
  })
  return { nullBitmap, nullCount }
}

function int64(value: unknown): bigint {
  if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) throw new RangeError(`${String(value)} is no int64`)
  const wide = BigInt(value as number | bigint)
  if (BigInt.asIntN(64, wide) !== wide) throw new RangeError(`${wide} is no int64`)
  return wide
}

function int32(value: unknown): number {
  const narrow = Number(value)
  if ((typeof value !== 'number' && typeof value !== 'bigint') || (narrow | 0) !== narrow)
    throw new RangeError(`${String(value)} is no int32`)
  return narrow
}

function uint32(value: unknown): number {
  const wide = Number(value)
  if ((typeof value !== 'number' && typeof value !== 'bigint') || wide >>> 0 !== wide)
    throw new RangeError(`${String(value)} is no uint32`)
  return wide
}

/** Offsets of the large types are 64 bits wide. */
function widened(offsets: Int32Array): BigInt64Array {
  return BigInt64Array.from(offsets, BigInt)
}

import { byCodePoint } from '../protocol/canonical-json.js'
import type { Delta, TensorDelta } from './delta.js'
import { columnsOf, type DeltaVersion, INDEX_BYTES, type IndexType } from './delta-format.js'
import { ELEMENT_BYTES } from './tensor.js'

/**
 * The unpacked bytes of a delta file in the given format, byte for byte what the reference compresses
 * (one-covenant/grail grail/infrastructure/sparse_codec.py, 54d6342): tensors in name order, elements in row order.
 * Throws RangeError for a flat index that version 2 cannot hold.
 */
export function encodeDeltaPayload(tensors: Delta['tensors'], version: DeltaVersion): Buffer {
  const entries: object[] = []
  const chunks: Buffer[] = []
  let offset = 0
  for (const name of [...tensors.keys()].sort(byCodePoint)) {
    const tensor = sorted(tensors.get(name)!)
    if (version !== 2 && tensor.rows.length === 0) continue
    const { head, rows, columns } = encodeIndices(tensor, version)
    const indicesSize = rows.length + columns.length
    const { type, shape, values } = tensor
    entries.push({
      name,
      shape,
      num_nonzero: tensor.rows.length,
      value_dtype: type,
      ...head,
      indices_offset: offset,
      indices_size: indicesSize,
      ...(version === 2 ? {} : { rows_size: rows.length, cols_size: columns.length }),
      values_offset: offset + indicesSize,
      values_size: values.length,
    })
    chunks.push(rows, columns, Buffer.from(values))
    offset += indicesSize + values.length
  }
  const json = JSON.stringify({ version, tensors: entries })
  // the reference writes ASCII: a name in another script is escaped, in UTF-16 units
  const header = Buffer.from(json.replace(/[^ -~]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(header.length)
  return Buffer.concat([length, header, ...chunks])
}

function encodeIndices(tensor: TensorDelta, version: DeltaVersion): { head: object; rows: Buffer; columns: Buffer } {
  const { rows, columns, shape } = tensor
  if (version === 2) {
    const width = columnsOf(shape)
    const flat = Array.from(rows, (row, i) => row * width + columns[i]!)
    if (flat.some(index => index > 0x7fffffff)) throw new RangeError('a flat index is beyond int32')
    const steps = flat.map((index, i) => index - (flat[i - 1] ?? 0))
    return { head: {}, rows: integers(steps, 'int32'), columns: Buffer.alloc(0) }
  }
  const rowSteps = Array.from(rows, (row, i) => row - (rows[i - 1] ?? 0))
  const columnSteps = Array.from(columns, (column, i) =>
    i === 0 || rowSteps[i] !== 0 ? column : column - columns[i - 1]!,
  )
  const rowType = version === 31 ? narrowest(rowSteps, ['uint8', 'uint16']) : 'int32'
  const columnType = version === 31 ? narrowest(columnSteps, ['uint16']) : 'int32'
  return {
    head: version === 31 ? { row_dtype: rowType, col_dtype: columnType } : {},
    rows: integers(rowSteps, rowType),
    columns: integers(columnSteps, columnType),
  }
}

/** The narrowest of the offered types that holds every value, else int32. */
function narrowest(values: readonly number[], offered: readonly IndexType[]): IndexType {
  const largest = values.reduce((most, value) => Math.max(most, value), 0)
  return offered.find(type => largest < 256 ** INDEX_BYTES[type]) ?? 'int32'
}

function integers(values: readonly number[], type: IndexType): Buffer {
  const width = INDEX_BYTES[type]
  const bytes = Buffer.alloc(values.length * width)
  values.forEach((value, i) => {
    if (type === 'int32') bytes.writeInt32LE(value, i * width)
    else bytes.writeUIntLE(value, i * width, width)
  })
  return bytes
}

/** The same elements in row, then column order. */
function sorted(tensor: TensorDelta): TensorDelta {
  const { rows, columns, values, type } = tensor
  const width = ELEMENT_BYTES[type]
  const order = Array.from(rows.keys()).sort((a, b) => rows[a]! - rows[b]! || columns[a]! - columns[b]!)
  return {
    ...tensor,
    rows: Int32Array.from(order, i => rows[i]!),
    columns: Int32Array.from(order, i => columns[i]!),
    values: Buffer.concat(order.map(i => values.subarray(i * width, (i + 1) * width))),
  }
}

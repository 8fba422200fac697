import { decompressZstd } from 'hyparquet-compressors'
import type { z } from 'zod'
import {
  columnsOf,
  type DeltaEntry,
  type DeltaVersion,
  deltaHeader,
  INDEX_BYTES,
  type IndexType,
} from './delta-format.js'
import { ELEMENT_BYTES, elementCount, type Tensor, type TensorType } from './tensor.js'

/** A delta larger than this when unpacked is refused, bytes: more than any delta of a model a miner can hold. */
const MAX_UNPACKED_BYTES = 4 * 1024 ** 3

/** Changed elements of one tensor. */
export interface TensorDelta {
  type: TensorType
  shape: readonly number[]
  /** int32[n] for rows and columns of the two-dimensional view; a vector has column 0. */
  rows: Int32Array
  columns: Int32Array
  /** The new raw values, n elements; they replace, nothing is added. */
  values: Uint8Array
}

/** A checkpoint's difference from the one before. */
export interface Delta {
  version: DeltaVersion
  tensors: ReadonlyMap<string, TensorDelta>
}

/** The file is not a delta this build can trust. The checkpoint must not be used. */
export class DeltaError extends RangeError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DeltaError'
  }
}

/**
 * Unpacks delta_sparse.bin.zst: one zstd frame of `u32le header length ‖ header JSON ‖ data`
 * (one-covenant/grail grail/infrastructure/sparse_codec.py, 54d6342). Throws DeltaError for anything that is not whole,
 * of a known version and within its own tensors' bounds.
 * @param expectedVersion from delta_metadata.json; undefined takes the header's word
 */
export function decodeDelta(compressed: Uint8Array, expectedVersion?: DeltaVersion): Delta {
  return decodeDeltaPayload(unpack(compressed), expectedVersion)
}

/** Unpacked bytes of a delta file. Throws DeltaError. */
export function unpack(compressed: Uint8Array): Uint8Array {
  const size = frameContentSize(compressed)
  if (size !== undefined && size > MAX_UNPACKED_BYTES)
    throw new DeltaError(`the delta unpacks to ${size} bytes; at most ${MAX_UNPACKED_BYTES} are accepted`)
  try {
    return decompressZstd(compressed)
  } catch (cause) {
    throw new DeltaError(`the delta is not a whole zstd frame: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    })
  }
}

/** Reads an unpacked delta. Throws DeltaError. */
export function decodeDeltaPayload(payload: Uint8Array, expectedVersion?: DeltaVersion): Delta {
  const view = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  if (view.length < 4) throw new DeltaError('the delta is too short for its header length')
  const dataStart = 4 + view.readUInt32LE(0)
  if (view.length < dataStart) throw new DeltaError('the delta is too short for its header')
  const header = readDeltaHeader(view.subarray(4, dataStart))
  if (expectedVersion !== undefined && header.version !== expectedVersion)
    throw new DeltaError(`the delta is of format version ${header.version}, its metadata says ${expectedVersion}`)
  const data = view.subarray(dataStart)
  const tensors = new Map<string, TensorDelta>()
  for (const entry of header.tensors) tensors.set(entry.name, readTensorDelta(entry, header.version, data))
  return { version: header.version, tensors }
}

/** Reads the header of an unpacked delta: its JSON alone. Throws DeltaError. */
export function readDeltaHeader(bytes: Buffer): z.infer<typeof deltaHeader> {
  let json: unknown
  try {
    json = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new DeltaError('the header of the delta is not JSON', { cause })
  }
  const parsed = deltaHeader.safeParse(json)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.slice(0, 3).map(issue => `${issue.path.join('.')}: ${issue.message}`)
  throw new DeltaError(`the header of the delta is malformed: ${faults.join('; ')}`)
}

/** Reads one tensor's changes. Throws DeltaError. @param data what follows the header */
export function readTensorDelta(entry: DeltaEntry, version: DeltaVersion, data: Buffer): TensorDelta {
  const { name, shape, value_dtype: type } = entry
  const columns = columnsOf(shape)
  const values = slice(entry, data, entry.values_offset, entry.values_size)
  const count = values.length / ELEMENT_BYTES[type]
  const delta: TensorDelta = { type, shape, values, ...readIndices(entry, version, data, columns) }
  if (delta.rows.length !== count || delta.columns.length !== count || entry.num_nonzero !== count)
    throw new DeltaError(`tensor ${name}: ${delta.rows.length} indices for ${count} values`)
  const rowCount = elementCount(shape) / columns
  for (let i = 0; i < count; i++)
    if (!(delta.rows[i]! >= 0 && delta.rows[i]! < rowCount && delta.columns[i]! >= 0 && delta.columns[i]! < columns))
      throw new DeltaError(`tensor ${name}: row ${delta.rows[i]}, column ${delta.columns[i]} lies outside [${shape}]`)
  return delta
}

function readIndices(
  entry: DeltaEntry,
  version: DeltaVersion,
  data: Buffer,
  columnCount: number,
): { rows: Int32Array; columns: Int32Array } {
  const at = entry.indices_offset
  if (version === 2) {
    const flat = readIntegers(slice(entry, data, at, entry.indices_size), 'int32')
    for (let i = 1; i < flat.length; i++) flat[i] = flat[i]! + flat[i - 1]!
    return {
      rows: flat.map(index => Math.floor(index / columnCount)),
      columns: flat.map(index => ((index % columnCount) + columnCount) % columnCount),
    }
  }
  const rowsSize = entry.rows_size ?? 0
  const columnsSize = entry.cols_size ?? 0
  const rowType = version === 31 ? (entry.row_dtype ?? 'int32') : 'int32'
  const columnType = version === 31 ? (entry.col_dtype ?? 'int32') : 'int32'
  const rows = readIntegers(slice(entry, data, at, rowsSize), rowType)
  const columns = readIntegers(slice(entry, data, at + rowsSize, columnsSize), columnType)
  // a column is a difference within its row and absolute where the row changes
  for (let i = 1; i < rows.length; i++) {
    if (rows[i] === 0) columns[i] = columns[i]! + columns[i - 1]!
    rows[i] = rows[i]! + rows[i - 1]!
  }
  return { rows, columns }
}

function slice(entry: DeltaEntry, data: Buffer, offset: number, size: number): Buffer {
  if (offset + size > data.length)
    throw new DeltaError(`tensor ${entry.name}: bytes ${offset} to ${offset + size} of ${data.length} do not exist`)
  return data.subarray(offset, offset + size)
}

function readIntegers(bytes: Buffer, type: IndexType): Int32Array {
  const width = INDEX_BYTES[type]
  if (bytes.length % width !== 0) throw new DeltaError(`${bytes.length} bytes are no whole number of ${type}`)
  const integers = new Int32Array(bytes.length / width)
  if (type === 'uint8') integers.set(bytes)
  else
    for (let i = 0; i < integers.length; i++)
      integers[i] = type === 'uint16' ? bytes.readUInt16LE(2 * i) : bytes.readInt32LE(4 * i)
  return integers
}

/**
 * Puts a delta on top of weights: changed elements are replaced, everything else is shared with the base
 * (grail/infrastructure/delta_checkpoint.py:113, 54d6342). Throws DeltaError when a tensor is not in the base or differs
 * from it in type or size; the base is never changed.
 */
export function applyDelta(base: ReadonlyMap<string, Tensor>, delta: Delta): Map<string, Tensor> {
  const result = new Map(base)
  for (const [name, changes] of delta.tensors) {
    const tensor = base.get(name)
    checkFits(name, tensor, changes)
    const bytes = Uint8Array.from(tensor.bytes)
    assignChanges(bytes, changes)
    result.set(name, { ...tensor, bytes })
  }
  return result
}

/** Refuses changes of a tensor that is not in the weights, or differs there in type or size. Throws DeltaError. */
export function checkFits<T extends { type: string; shape: readonly number[] }>(
  name: string,
  tensor: T | undefined,
  changes: Pick<TensorDelta, 'type' | 'shape'>,
): asserts tensor is T {
  if (!tensor) throw new DeltaError(`the delta changes ${name}, which the weights do not have`)
  if (tensor.type !== changes.type || elementCount(tensor.shape) !== elementCount(changes.shape))
    throw new DeltaError(
      `the delta takes ${name} for ${changes.type}[${changes.shape}], the weights for ${tensor.type}[${tensor.shape}]`,
    )
}

/** Puts the new values into a tensor's bytes, in place. The changes fit the tensor. */
export function assignChanges(bytes: Uint8Array, changes: TensorDelta): void {
  const width = ELEMENT_BYTES[changes.type]
  const columnCount = columnsOf(changes.shape)
  for (let i = 0; i < changes.rows.length; i++) {
    const target = (changes.rows[i]! * columnCount + changes.columns[i]!) * width
    for (let j = 0; j < width; j++) bytes[target + j] = changes.values[i * width + j]!
  }
}

/** Content size a zstd frame declares (RFC 8878 §3.1.1), undefined when it declares none. */
function frameContentSize(frame: Uint8Array): number | undefined {
  const view = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
  if (view.length < 6 || view.readUInt32LE(0) !== 0xfd2fb528) return undefined
  const descriptor = view[4]!
  const isSingleSegment = (descriptor & 0x20) !== 0
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!
  const at = 5 + (isSingleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!
  if (sizeBytes === 0 || view.length < at + sizeBytes) return undefined
  if (sizeBytes === 8) return Number(view.readBigUInt64LE(at))
  return view.readUIntLE(at, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
}

import { deltaBinaryUnpack } from 'hyparquet/src/delta.js'
import { readHybrid } from './hybrid.js'
import { ENCODING } from './page-header.js'
import type { PhysicalType } from './read-footer.js'
import { UnreadableFile } from './unreadable.js'

/** Largest page read here, bytes uncompressed. The reference's writer puts 1,024 rows of commitments into a page, 20–150 KB each. */
export const MAX_PAGE_BYTES = 192 * 1024 * 1024

/** Byte strings as slices of one buffer: value i is bytes [starts[i], ends[i]). */
export interface ByteStrings {
  bytes: Uint8Array
  starts: Uint32Array
  ends: Uint32Array
}

/** The non-null values of a page. Booleans are 0 and 1. */
export type Values = Int32Array | BigInt64Array | Float32Array | Float64Array | Uint8Array | ByteStrings

export function isByteStrings(values: Values): values is ByteStrings {
  return 'starts' in values
}

/**
 * Decodes `count` values of bytes [at, end of bytes).
 * @param dictionary of the column chunk, when a page before held one
 * @throws Error when the bytes do not hold them; UnreadableFile for encodings and types that are not read here
 */
export function readValues(
  bytes: Uint8Array,
  at: number,
  physical: PhysicalType,
  encoding: number,
  count: number,
  dictionary: Values | undefined,
): Values {
  switch (encoding) {
    case ENCODING.PLAIN:
      return plain(bytes, at, physical, count)
    case ENCODING.PLAIN_DICTIONARY:
    case ENCODING.RLE_DICTIONARY: {
      if (!dictionary) throw new Error('a dictionary page is missing')
      if (count === 0) return pick(dictionary, new Int32Array(0))
      const index = new Int32Array(count)
      if (at >= bytes.length) throw new Error('the page ends early')
      readHybrid(bytes, at + 1, bytes.length, bytes[at] as number, index)
      return pick(dictionary, index)
    }
    case ENCODING.RLE: {
      if (physical !== 'BOOLEAN') throw new Error(`run-length values of type ${physical}`)
      const flags = new Uint8Array(count)
      const length = uint32(bytes, at)
      if (at + 4 + length > bytes.length) throw new Error('the page ends early')
      readHybrid(bytes, at + 4, at + 4 + length, 1, flags)
      return flags
    }
    case ENCODING.DELTA_BINARY_PACKED: {
      if (physical === 'INT32') return delta(bytes, at, count, new Int32Array(count)).values
      if (physical === 'INT64') return delta(bytes, at, count, new BigInt64Array(count)).values
      throw new Error(`delta values of type ${physical}`)
    }
    case ENCODING.DELTA_LENGTH_BYTE_ARRAY:
      if (physical !== 'BYTE_ARRAY') throw new Error(`delta lengths for type ${physical}`)
      return lengthsThenBytes(bytes, at, count)
    case ENCODING.DELTA_BYTE_ARRAY:
      if (physical !== 'BYTE_ARRAY') throw new Error(`delta strings for type ${physical}`)
      return prefixed(bytes, at, count)
    case ENCODING.BYTE_STREAM_SPLIT:
      return plain(unsplit(bytes, at, widthOf(physical), count), 0, physical, count)
    default:
      throw new Error(`there is no encoding ${encoding}`)
  }
}

function lengthsThenBytes(bytes: Uint8Array, at: number, count: number): ByteStrings {
  const lengths = delta(bytes, at, count, new Int32Array(count))
  const strings: ByteStrings = { bytes, starts: new Uint32Array(count), ends: new Uint32Array(count) }
  let from = lengths.end
  for (let i = 0; i < count; i++) {
    const length = lengths.values[i] as number
    if (length < 0 || from + length > bytes.length) throw new Error('the page ends early')
    strings.starts[i] = from
    from += length
    strings.ends[i] = from
  }
  return strings
}

/** Each string repeats the beginning of the one before: a small page can hold very long ones, so they are added up first. */
function prefixed(bytes: Uint8Array, at: number, count: number): ByteStrings {
  const prefixes = delta(bytes, at, count, new Int32Array(count))
  const suffixes = lengthsThenBytes(bytes, prefixes.end, count)
  const starts = new Uint32Array(count)
  const ends = new Uint32Array(count)
  let total = 0
  let previous = 0
  for (let i = 0; i < count; i++) {
    const prefix = prefixes.values[i] as number
    if (prefix < 0 || prefix > previous) throw new Error('a string repeats more than the one before has')
    previous = prefix + (suffixes.ends[i] as number) - (suffixes.starts[i] as number)
    starts[i] = total
    total += previous
    ends[i] = total
    if (total > MAX_PAGE_BYTES)
      throw new UnreadableFile('beyond_limits', `a page unpacks to more than the ${MAX_PAGE_BYTES} bytes read here`)
  }
  const joined = new Uint8Array(total)
  for (let i = 0; i < count; i++) {
    const prefix = prefixes.values[i] as number
    const start = starts[i] as number
    if (prefix > 0) joined.copyWithin(start, starts[i - 1] as number, (starts[i - 1] as number) + prefix)
    joined.set(bytes.subarray(suffixes.starts[i], suffixes.ends[i]), start + prefix)
  }
  return { bytes: joined, starts, ends }
}

function plain(bytes: Uint8Array, at: number, physical: PhysicalType, count: number): Values {
  switch (physical) {
    case 'BOOLEAN': {
      if (at + ((count + 7) >> 3) > bytes.length) throw new Error('the page ends early')
      const flags = new Uint8Array(count)
      for (let i = 0; i < count; i++) flags[i] = ((bytes[at + (i >> 3)] as number) >> (i & 7)) & 1
      return flags
    }
    case 'BYTE_ARRAY': {
      const strings: ByteStrings = { bytes, starts: new Uint32Array(count), ends: new Uint32Array(count) }
      let from = at
      for (let i = 0; i < count; i++) {
        const length = uint32(bytes, from)
        from += 4
        if (from + length > bytes.length) throw new Error('the page ends early')
        strings.starts[i] = from
        from += length
        strings.ends[i] = from
      }
      return strings
    }
    default: {
      const width = widthOf(physical)
      if (at + count * width > bytes.length) throw new Error('the page ends early')
      const from = bytes.byteOffset + at
      const copy = bytes.buffer.slice(from, from + count * width)
      if (physical === 'INT32') return new Int32Array(copy as ArrayBuffer)
      if (physical === 'INT64') return new BigInt64Array(copy as ArrayBuffer)
      if (physical === 'FLOAT') return new Float32Array(copy as ArrayBuffer)
      return new Float64Array(copy as ArrayBuffer)
    }
  }
}

function widthOf(physical: PhysicalType): number {
  if (physical === 'INT32' || physical === 'FLOAT') return 4
  if (physical === 'INT64' || physical === 'DOUBLE') return 8
  throw new UnreadableFile('beyond_limits', `columns of type ${physical} are not read here`)
}

function pick(dictionary: Values, index: Int32Array): Values {
  const size = isByteStrings(dictionary) ? dictionary.starts.length : dictionary.length
  for (let at = 0; at < index.length; at++) {
    const entry = index[at] as number
    if (entry < 0 || entry >= size) throw new Error(`entry ${entry} of a dictionary of ${size}`)
  }
  if (isByteStrings(dictionary))
    return {
      bytes: dictionary.bytes,
      starts: Uint32Array.from(index, i => dictionary.starts[i] as number),
      ends: Uint32Array.from(index, i => dictionary.ends[i] as number),
    }
  const values = new (dictionary.constructor as Int32ArrayConstructor)(index.length)
  const from = dictionary as Int32Array
  for (let i = 0; i < index.length; i++) values[i] = from[index[i] as number] as number
  return values
}

/** Delta blocks (parquet-format Encodings.md). The header is checked first: the decoder believes it. */
function delta<T extends Int32Array | BigInt64Array>(
  bytes: Uint8Array,
  at: number,
  count: number,
  out: T,
): { values: T; end: number } {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: at }
  let next = at
  const varint = () => {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (next >= bytes.length) throw new Error('the page ends early')
      const byte = bytes[next++] as number
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new Error('a delta header is damaged')
  }
  const [block, miniblocks] = [varint(), varint()]
  if (block === 0 || block > 65_536 || miniblocks === 0 || miniblocks > 1_024 || block % (miniblocks * 8) !== 0)
    throw new Error(`delta blocks of ${block} values in ${miniblocks} parts`)
  if (count > 0) deltaBinaryUnpack(reader, count, out)
  if (reader.offset > bytes.length) throw new Error('the page ends early')
  return { values: out, end: reader.offset }
}

function unsplit(bytes: Uint8Array, at: number, width: number, count: number): Uint8Array {
  if (at + count * width > bytes.length) throw new Error('the page ends early')
  const joined = new Uint8Array(count * width)
  for (let b = 0; b < width; b++)
    for (let i = 0; i < count; i++) joined[i * width + b] = bytes[at + b * count + i] as number
  return joined
}

function uint32(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) throw new Error('the page ends early')
  return (
    ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16)) +
    (bytes[at + 3] as number) * 2 ** 24
  )
}

import { decompress } from './codec.js'
import { bitWidthOf, readHybrid } from './hybrid.js'
import { ENCODING, PAGE_TYPE } from './page-header.js'
import type { Codec, PhysicalType, SchemaNode } from './read-footer.js'
import { isInteger, isStruct, ThriftReader } from './thrift-reader.js'
import { UnreadableFile } from './unreadable.js'
import { MAX_PAGE_BYTES, readValues, type Values } from './values.js'

/** Most values read from one page: with levels about 80 MB of arrays. */
const MAX_PAGE_VALUES = 8 * 1024 * 1024

export interface PageHeader {
  kind: number
  /** Bytes behind the header. */
  compressed: number
  uncompressed: number
  values: number
  encoding: number
  definitionEncoding: number
  repetitionEncoding: number
  /** V2 only. */
  definitionBytes: number
  repetitionBytes: number
  isCompressed: boolean
}

/** A decoded data page: levels are undefined where the column has none. */
export interface DataPage {
  count: number
  definitions: Uint8Array | undefined
  repetitions: Uint8Array | undefined
  /** The non-null values only. */
  values: Values
}

/** Parses the header at `at`. @throws ThriftError when it is damaged or continues behind the bytes */
export function readPageHeader(bytes: Uint8Array, at: number): { header: PageHeader; end: number } {
  const reader = new ThriftReader(bytes, at)
  const header: PageHeader = {
    kind: -1,
    compressed: -1,
    uncompressed: -1,
    values: 0,
    encoding: -1,
    definitionEncoding: ENCODING.RLE,
    repetitionEncoding: ENCODING.RLE,
    definitionBytes: 0,
    repetitionBytes: 0,
    isCompressed: true,
  }
  reader.struct((id, type) => {
    if (id === 1 && isInteger(type)) header.kind = reader.number()
    else if (id === 2 && isInteger(type)) header.uncompressed = reader.number()
    else if (id === 3 && isInteger(type)) header.compressed = reader.number()
    else if ((id === 5 || id === 7) && isStruct(type))
      reader.struct((field, kind) => {
        if (!isInteger(kind)) return false
        if (field === 1) header.values = reader.number()
        else if (field === 2) header.encoding = reader.number()
        else if (field === 3 && id === 5) header.definitionEncoding = reader.number()
        else if (field === 4 && id === 5) header.repetitionEncoding = reader.number()
        else return false
        return true
      })
    else if (id === 8 && isStruct(type))
      reader.struct((field, kind) => {
        if (field === 7 && !isInteger(kind)) {
          header.isCompressed = reader.boolean(kind, false)
          return true
        }
        if (!isInteger(kind)) return false
        if (field === 1) header.values = reader.number()
        else if (field === 4) header.encoding = reader.number()
        else if (field === 5) header.definitionBytes = reader.number()
        else if (field === 6) header.repetitionBytes = reader.number()
        else return false
        return true
      })
    else return false
    return true
  })
  if (header.compressed < 0 || header.uncompressed < 0 || header.values < 0) throw new Error('a page header is damaged')
  if (header.uncompressed > MAX_PAGE_BYTES || header.compressed > MAX_PAGE_BYTES)
    throw new UnreadableFile(
      'beyond_limits',
      `a page of ${header.uncompressed} bytes is larger than the ${MAX_PAGE_BYTES} read here`,
    )
  if (header.values > MAX_PAGE_VALUES)
    throw new UnreadableFile(
      'beyond_limits',
      `a page of ${header.values} values has more than the ${MAX_PAGE_VALUES} read here`,
    )
  return { header, end: reader.at }
}

/** What a page belongs to. */
export interface PageColumn {
  leaf: SchemaNode
  physical: PhysicalType
  codec: Codec
}

export function isDictionary(header: PageHeader): boolean {
  return header.kind === PAGE_TYPE.DICTIONARY
}

export function isData(header: PageHeader): boolean {
  return header.kind === PAGE_TYPE.DATA || header.kind === PAGE_TYPE.DATA_V2
}

export function readDictionary(header: PageHeader, body: Uint8Array, { codec, physical }: PageColumn): Values {
  if (header.encoding !== ENCODING.PLAIN && header.encoding !== ENCODING.PLAIN_DICTIONARY)
    throw new Error(`a dictionary in encoding ${header.encoding}`)
  const bytes = decompress(codec, body, header.uncompressed)
  return readValues(bytes, 0, physical, ENCODING.PLAIN, header.values, undefined)
}

export function readData(
  header: PageHeader,
  body: Uint8Array,
  column: PageColumn,
  dictionary: Values | undefined,
): DataPage {
  const { leaf, physical } = column
  const count = header.values
  let bytes: Uint8Array
  let at = 0
  let definitions: Uint8Array | undefined
  let repetitions: Uint8Array | undefined
  if (header.kind === PAGE_TYPE.DATA_V2) {
    const levelBytes = header.repetitionBytes + header.definitionBytes
    if (
      header.repetitionBytes < 0 ||
      header.definitionBytes < 0 ||
      levelBytes > Math.min(body.length, header.uncompressed)
    )
      throw new Error('a page header is damaged')
    repetitions = levels(body, 0, header.repetitionBytes, leaf.repetitionLevel, count)
    definitions = levels(body, header.repetitionBytes, levelBytes, leaf.definition, count)
    const rest = body.subarray(levelBytes)
    const size = header.uncompressed - levelBytes
    bytes = header.isCompressed && rest.length > 0 ? decompress(column.codec, rest, size) : rest
  } else {
    bytes = decompress(column.codec, body, header.uncompressed)
    const level = (max: number, encoding: number) => {
      if (max === 0) return undefined
      if (encoding !== ENCODING.RLE)
        throw new UnreadableFile('beyond_limits', `levels in encoding ${encoding} are not read here`)
      if (at + 4 > bytes.length) throw new Error('the page ends early')
      const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true)
      if (at + 4 + length > bytes.length) throw new Error('the page ends early')
      at += 4 + length
      return levels(bytes, at - length, at, max, count)
    }
    repetitions = level(leaf.repetitionLevel, header.repetitionEncoding)
    definitions = level(leaf.definition, header.definitionEncoding)
  }
  let present = count
  if (definitions) {
    present = 0
    for (let i = 0; i < count; i++) if (definitions[i] === leaf.definition) present++
  }
  return {
    count,
    definitions,
    repetitions,
    values: readValues(bytes, at, physical, header.encoding, present, dictionary),
  }
}

function levels(bytes: Uint8Array, from: number, to: number, max: number, count: number): Uint8Array | undefined {
  if (max === 0) return undefined
  const out = new Uint8Array(count)
  readHybrid(bytes, from, to, bitWidthOf(max), out)
  let highest = 0
  for (let i = 0; i < count; i++) highest = Math.max(highest, out[i] as number)
  if (highest > max) throw new Error(`level ${highest} of at most ${max}`)
  return out
}

import { MAGIC, TRAILER_BYTES } from './footer.js'
import type { ByteSource } from './source.js'
import { isBinary, isInteger, isList, isStruct, ThriftError, ThriftReader } from './thrift-reader.js'
import { UnreadableFile } from './unreadable.js'

/** Smallest file the reference looks into, bytes (grail/infrastructure/parquet_io.py, 54d6342). */
const SMALLEST_FILE = 12
/** A file of 800 groups, one row group each, has a footer of 4 MB; this is sixteen times that. */
const MAX_FOOTER_BYTES = 64 * 1024 * 1024
/** Schema elements: a window file has 40. */
const MAX_ELEMENTS = 10_000
const MAX_ROW_GROUPS = 100_000
/** 5,000 rows per window count for anything; a 350 MiB file of the shortest rows holds 1.5 million. */
export const MAX_ROWS = 2_000_000

const PHYSICAL = [
  'BOOLEAN',
  'INT32',
  'INT64',
  'INT96',
  'FLOAT',
  'DOUBLE',
  'BYTE_ARRAY',
  'FIXED_LEN_BYTE_ARRAY',
] as const
export type PhysicalType = (typeof PHYSICAL)[number]

const CODECS = ['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'LZO', 'BROTLI', 'LZ4', 'ZSTD', 'LZ4_RAW'] as const
export type Codec = (typeof CODECS)[number]

/** One node of the schema, leaf or group, with what its levels mean. */
export interface SchemaNode {
  name: string
  /** Dotted, without the root. */
  path: string
  physical: PhysicalType | undefined
  repetition: 'REQUIRED' | 'OPTIONAL' | 'REPEATED'
  /** ConvertedType of parquet.thrift, or undefined. */
  converted: number | undefined
  /** Field id of the LogicalType union, or undefined: 1 string, 3 list, 10 integer, … */
  logical: number | undefined
  children: SchemaNode[]
  /** The node itself is there from this definition level on. */
  definition: number
  repetitionLevel: number
  /** Which column chunk of a row group is it? −1 for groups. */
  column: number
}

export interface ChunkFacts {
  codec: Codec | undefined
  physical: PhysicalType | undefined
  /** Values with nulls, over all pages. */
  values: number
  start: number
  bytes: number
}

export interface RowGroupFacts {
  rows: number
  /** One per leaf, in schema order. */
  chunks: ChunkFacts[]
}

export interface FileFacts {
  root: SchemaNode
  leaves: SchemaNode[]
  /** Over all row groups. */
  rows: number
  rowGroups: RowGroupFacts[]
  /** Values are UTF-8 where somebody reads them as text. */
  keyValues: Map<string, Uint8Array>
  createdBy: string
}

/** Reads and checks the footer; nothing of the row groups. @throws UnreadableFile */
export async function readFooter(source: ByteSource): Promise<FileFacts> {
  if (source.bytes < SMALLEST_FILE)
    throw new UnreadableFile('corrupt_parquet', `the file has ${source.bytes} bytes, too few for a Parquet file`)
  const trailer = await source.read(source.bytes - TRAILER_BYTES, source.bytes)
  if (MAGIC.some((byte, i) => trailer[4 + i] !== byte))
    throw new UnreadableFile(
      'corrupt_parquet',
      'the file does not end with PAR1: it is cut short, wrapped or no Parquet file',
    )
  const length = new DataView(trailer.buffer, trailer.byteOffset).getUint32(0, true)
  const end = source.bytes - TRAILER_BYTES
  if (length > end)
    throw new UnreadableFile('corrupt_parquet', `the footer claims ${length} bytes of a file of ${source.bytes}`)
  if (length > MAX_FOOTER_BYTES)
    throw new UnreadableFile(
      'beyond_limits',
      `the footer has ${length} bytes, more than the ${MAX_FOOTER_BYTES} read here`,
    )
  const bytes = await source.read(end - length, end)
  try {
    return parse(bytes, end - length)
  } catch (error) {
    if (error instanceof ThriftError)
      throw new UnreadableFile('reader_exception', `the footer is damaged: ${error.message}`, { cause: error })
    throw error
  }
}

interface Element {
  physical: number | undefined
  repetition: number
  name: string
  children: number
  converted: number | undefined
  logical: number | undefined
}

function parse(bytes: Uint8Array, dataEnd: number): FileFacts {
  const reader = new ThriftReader(bytes)
  const elements: Element[] = []
  const rowGroups: RowGroupFacts[] = []
  const keyValues = new Map<string, Uint8Array>()
  let createdBy = ''
  reader.struct((id, type) => {
    if (id === 2 && isList(type))
      reader.list((item, _index, size) => {
        if (size > MAX_ELEMENTS)
          throw new UnreadableFile('beyond_limits', `the schema has ${size} elements, more than ${MAX_ELEMENTS}`)
        if (!isStruct(item)) return false
        elements.push(readElement(reader))
        return true
      })
    else if (id === 4 && isList(type))
      reader.list((item, _index, size) => {
        if (size > MAX_ROW_GROUPS)
          throw new UnreadableFile('beyond_limits', `${size} row groups are more than the ${MAX_ROW_GROUPS} read here`)
        if (!isStruct(item)) return false
        rowGroups.push(readRowGroup(reader))
        return true
      })
    else if (id === 5 && isList(type))
      reader.list(item => {
        if (!isStruct(item)) return false
        const [key, value] = readKeyValue(reader)
        // As Arrow does: of a repeated key the first one counts.
        if (!keyValues.has(key)) keyValues.set(key, value)
        return true
      })
    else if (id === 6 && isBinary(type)) createdBy = textOf(reader.binary())
    else return false
    return true
  })
  checkArrowSchema(keyValues.get('ARROW:schema'))
  const root = treeOf(elements)
  const leaves = leavesOf(root)
  checkChunks(rowGroups, leaves, dataEnd)
  const rows = rowGroups.reduce((sum, rowGroup) => sum + rowGroup.rows, 0)
  if (rows > MAX_ROWS)
    throw new UnreadableFile('beyond_limits', `the file claims ${rows} rows, more than the ${MAX_ROWS} read here`)
  return { root, leaves, rows, rowGroups, keyValues, createdBy }
}

function readElement(reader: ThriftReader): Element {
  const element: Element = {
    physical: undefined,
    repetition: 0,
    name: '',
    children: 0,
    converted: undefined,
    logical: undefined,
  }
  reader.struct((id, type) => {
    if (id === 1 && isInteger(type)) element.physical = reader.number()
    else if (id === 3 && isInteger(type)) element.repetition = reader.number()
    else if (id === 4 && isBinary(type)) element.name = nameOf(reader.binary())
    else if (id === 5 && isInteger(type)) element.children = reader.number()
    else if (id === 6 && isInteger(type)) element.converted = reader.number()
    else if (id === 10 && isStruct(type))
      reader.struct(kind => {
        element.logical = kind
        return false
      })
    else return false
    return true
  })
  return element
}

function readRowGroup(reader: ThriftReader): RowGroupFacts {
  const rowGroup: RowGroupFacts = { rows: 0, chunks: [] }
  reader.struct((id, type) => {
    if (id === 1 && isList(type))
      reader.list((item, _index, size) => {
        if (size > MAX_ELEMENTS)
          throw new UnreadableFile('beyond_limits', `a row group of ${size} column chunks is not read here`)
        if (!isStruct(item)) return false
        rowGroup.chunks.push(readChunk(reader))
        return true
      })
    else if (id === 3 && isInteger(type)) rowGroup.rows = reader.number()
    else return false
    return true
  })
  return rowGroup
}

function readChunk(reader: ThriftReader): ChunkFacts {
  const chunk: ChunkFacts = { codec: undefined, physical: undefined, values: 0, start: 0, bytes: 0 }
  let dictionary: number | undefined
  reader.struct((id, type) => {
    if (id !== 3 || !isStruct(type)) return false
    reader.struct((field, kind) => {
      if (!isInteger(kind)) return false
      if (field === 1) chunk.physical = PHYSICAL[reader.number()]
      else if (field === 4) chunk.codec = CODECS[reader.number()]
      else if (field === 5) chunk.values = reader.number()
      else if (field === 7) chunk.bytes = reader.number()
      else if (field === 9) chunk.start = reader.number()
      else if (field === 11) dictionary = reader.number()
      else return false
      return true
    })
    return true
  })
  // As parquet-cpp does: a dictionary page lies before the data pages, if at all.
  if (dictionary !== undefined && dictionary > 0 && dictionary < chunk.start) chunk.start = dictionary
  return chunk
}

function readKeyValue(reader: ThriftReader): [string, Uint8Array] {
  let key = ''
  let value: Uint8Array = new Uint8Array()
  reader.struct((id, type) => {
    if (id === 1 && isBinary(type)) key = textOf(reader.binary())
    else if (id === 2 && isBinary(type)) value = reader.binary()
    else return false
    return true
  })
  return [key, value]
}

/** Elements come depth first; each group says how many children follow. */
function treeOf(elements: Element[]): SchemaNode {
  let next = 0
  let column = 0
  const node = (parent: SchemaNode | undefined, depth: number): SchemaNode => {
    const element = elements[next++]
    if (!element || depth > 32) throw new UnreadableFile('reader_exception', 'the schema of the file is no tree')
    const repetition = parent ? (['REQUIRED', 'OPTIONAL', 'REPEATED'] as const)[element.repetition] : 'REQUIRED'
    if (!repetition) throw new UnreadableFile('reader_exception', `column ${element.name} has no valid repetition`)
    const isLeaf = element.children === 0 && parent !== undefined
    const physical = isLeaf && element.physical !== undefined ? PHYSICAL[element.physical] : undefined
    if (isLeaf && !physical) throw new UnreadableFile('reader_exception', `column ${element.name} has no type`)
    const made: SchemaNode = {
      name: element.name,
      path: parent?.path ? `${parent.path}.${element.name}` : parent ? element.name : '',
      physical,
      repetition,
      converted: element.converted,
      logical: element.logical,
      children: [],
      definition: (parent?.definition ?? 0) + (repetition === 'REQUIRED' ? 0 : 1),
      repetitionLevel: (parent?.repetitionLevel ?? 0) + (repetition === 'REPEATED' ? 1 : 0),
      column: isLeaf ? column++ : -1,
    }
    for (let i = 0; i < element.children; i++) made.children.push(node(made, depth + 1))
    return made
  }
  const root = node(undefined, 0)
  if (next !== elements.length) throw new UnreadableFile('reader_exception', 'the schema of the file is no tree')
  return root
}

function leavesOf(node: SchemaNode): SchemaNode[] {
  return node.column >= 0 ? [node] : node.children.flatMap(leavesOf)
}

function checkChunks(rowGroups: RowGroupFacts[], leaves: SchemaNode[], dataEnd: number): void {
  rowGroups.forEach((rowGroup, index) => {
    if (rowGroup.rows < 0 || rowGroup.chunks.length !== leaves.length)
      throw new UnreadableFile(
        'reader_exception',
        `row group ${index} has ${rowGroup.rows} rows and ${rowGroup.chunks.length} column chunks for ${leaves.length} columns`,
      )
    rowGroup.chunks.forEach((chunk, column) => {
      const path = leaves[column]?.path
      if (chunk.values < 0 || chunk.bytes < 0 || chunk.start < 0 || chunk.start + chunk.bytes > dataEnd)
        throw new UnreadableFile(
          'reader_exception',
          `column ${path} of row group ${index} claims bytes ${chunk.start} to ${chunk.start + chunk.bytes}, the data ends at ${dataEnd}`,
        )
      if (chunk.physical !== leaves[column]?.physical)
        throw new UnreadableFile('reader_exception', `column ${path} of row group ${index} is not of the schema's type`)
      if (!chunk.codec)
        throw new UnreadableFile('reader_exception', `column ${path} of row group ${index} has an unknown codec`)
    })
  })
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
function nameOf(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes)
  } catch (cause) {
    throw new UnreadableFile('reader_exception', 'a column name is not UTF-8', { cause })
  }
}

const decoder = new TextDecoder()
function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

/**
 * Arrow's own schema is base64 of one message: 8 bytes in front of it say how long it is. Arrow decodes up to the first character that
 * does not belong, and refuses a message that is then too short.
 */
function checkArrowSchema(value: Uint8Array | undefined): void {
  if (!value) return
  const text = textOf(value)
  const bytes = Buffer.from(/^[A-Za-z0-9+/]*/.exec(text)?.[0] ?? '', 'base64')
  const announced = bytes.length >= 8 ? bytes.readInt32LE(4) : -1
  if (announced < 0 || bytes.length - 8 < announced)
    throw new UnreadableFile(
      'corrupt_parquet',
      `Arrow's schema in the footer announces ${announced} bytes and has ${Math.max(0, bytes.length - 8)}`,
    )
}

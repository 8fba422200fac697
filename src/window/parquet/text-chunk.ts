import { DATA_PAGE_HEADER, ENCODING, PAGE_HEADER, PAGE_HEADER_ROOM_BYTES, PAGE_TYPE } from './page-header.js'
import { type ThriftStruct, writeThrift } from './thrift.js'
import { THRIFT } from './thrift-types.js'

/** A page is ended by the text that fills it so far, as parquet's writers do, bytes. */
const PAGE_BYTES = 1024 * 1024
const LENGTH_BYTES = 4

/** The bytes of the last chunk, used again by the next one: 3 MB that would be garbage every time. */
let room = new Uint8Array(0)

/**
 * Data pages V1, PLAIN and uncompressed, of a column of texts of which none is null; good until the next call.
 * @param depth how many of the column and the structs around it may be null
 */
export function textChunk(texts: readonly Uint8Array[], depth: number): Uint8Array {
  const pages = pagesOf(texts)
  const most =
    texts.reduce((sum, text) => sum + LENGTH_BYTES + text.length, 0) + pages.length * 2 * PAGE_HEADER_ROOM_BYTES
  if (room.length < most) room = new Uint8Array(most)
  const view = new DataView(room.buffer)
  let at = 0
  for (const page of pages) {
    const levels = allThere(page.length, depth)
    const bytes = page.reduce((sum, text) => sum + LENGTH_BYTES + text.length, LENGTH_BYTES + levels.length)
    const header = headerOf(page.length, bytes)
    room.set(header, at)
    at += header.length
    for (const piece of [levels, ...page]) {
      view.setUint32(at, piece.length, true)
      room.set(piece, at + LENGTH_BYTES)
      at += LENGTH_BYTES + piece.length
    }
  }
  return room.subarray(0, at)
}

function pagesOf(texts: readonly Uint8Array[]): Uint8Array[][] {
  const pages: Uint8Array[][] = []
  let bytes = PAGE_BYTES
  for (const text of texts) {
    if (bytes >= PAGE_BYTES) {
      pages.push([])
      bytes = 0
    }
    pages.at(-1)?.push(text)
    bytes += LENGTH_BYTES + text.length
  }
  return pages
}

/** One run of `count` definition levels, all of them the deepest: a varint of the count, shifted by 1, and the level. */
function allThere(count: number, depth: number): Uint8Array {
  const bytes: number[] = []
  let rest = count << 1
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Uint8Array.from([...bytes, rest, depth])
}

function headerOf(values: number, bytes: number): Uint8Array {
  const integer = (value: number) => ({ type: THRIFT.I32, value: BigInt(value) })
  const data: ThriftStruct = new Map([
    [DATA_PAGE_HEADER.values, integer(values)],
    [DATA_PAGE_HEADER.encoding, integer(ENCODING.PLAIN)],
    [DATA_PAGE_HEADER.definitions, integer(ENCODING.RLE)],
    [DATA_PAGE_HEADER.repetitions, integer(ENCODING.RLE)],
  ])
  const header: ThriftStruct = new Map<number, { type: number; value: bigint | ThriftStruct }>([
    [PAGE_HEADER.type, integer(PAGE_TYPE.DATA)],
    [PAGE_HEADER.uncompressed, integer(bytes)],
    [PAGE_HEADER.compressed, integer(bytes)],
    [PAGE_HEADER.dataPage, { type: THRIFT.STRUCT, value: data }],
  ])
  return writeThrift(header, PAGE_HEADER_ROOM_BYTES)
}

import type { Zstd } from './native-zstd.js'
import { PAGE_HEADER, PAGE_HEADER_ROOM_BYTES, PAGE_TYPE } from './page-header.js'
import { readThriftAt, writeThrift } from './thrift.js'
import { THRIFT } from './thrift-types.js'

/** One column chunk whose pages are compressed. */
export interface CompressedChunk {
  /** Headers and bodies of its pages, in order. */
  pieces: Uint8Array[]
  bytes: number
  /** What its pages would take uncompressed, headers included. */
  uncompressedBytes: number
  /** Where its first page of each kind lies, bytes from the chunk's start. */
  dictionaryAt: number | undefined
  dataAt: number
}

/**
 * Compresses the pages of a column chunk; data pages must be V1.
 * @param chunk an uncompressed chunk that our own encoder just made
 */
export function compressPages(chunk: Uint8Array, zstd: Zstd): CompressedChunk {
  const made: CompressedChunk = { pieces: [], bytes: 0, uncompressedBytes: 0, dictionaryAt: undefined, dataAt: -1 }
  for (let at = 0; at < chunk.length; ) {
    const { struct: header, end } = readThriftAt(chunk, at)
    const size = Number(header.get(PAGE_HEADER.uncompressed)?.value)
    if (Number(header.get(PAGE_HEADER.compressed)?.value) !== size) throw new Error('a page is compressed already')
    const body = zstd(Buffer.from(chunk.buffer, chunk.byteOffset + end, size))
    header.set(PAGE_HEADER.compressed, { type: THRIFT.I32, value: BigInt(body.length) })
    const head = writeThrift(header, PAGE_HEADER_ROOM_BYTES)
    if (header.get(PAGE_HEADER.type)?.value === BigInt(PAGE_TYPE.DICTIONARY)) made.dictionaryAt ??= made.bytes
    else if (made.dataAt < 0) made.dataAt = made.bytes
    made.pieces.push(head, body)
    made.bytes += head.length + body.length
    made.uncompressedBytes += head.length + size
    at = end + size
  }
  return made
}

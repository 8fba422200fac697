import { Table as ArrowTable, type RecordBatch, tableToIPC } from 'apache-arrow'
import { Compression, EnabledStatistics, Table, WriterPropertiesBuilder, writeParquet } from 'parquet-wasm'
import type { Profile } from '../../protocol/profile.js'
import { compressPages } from './compress.js'
import { footerOf, type ParquetFooter } from './footer.js'
import { nativeZstd, type Zstd } from './native-zstd.js'
import { ENCODING } from './page-header.js'
import { textChunk } from './text-chunk.js'
import type { ThriftList, ThriftStruct } from './thrift.js'
import { THRIFT } from './thrift-types.js'

/** One row group as it will lie in a file: its column chunks, and how the footer describes them when they start at byte 0. */
export interface EncodedRowGroup {
  bytes: Uint8Array
  rows: number
  /** undefined for a batch of no rows */
  description: ThriftStruct | undefined
  /** Everything that is the same for all row groups of the file: schema, column orders, Arrow's schema. */
  footer: ParquetFooter
}

/**
 * Where a column's dictionary is given up for plain values, bytes. Log-probabilities and commitments never repeat: with parquet's usual
 * 1 MiB they would all go through a dictionary, which costs 60 % more CPU and 25 % more bytes. The tokens of 128 rollouts of text
 * (some thousand different ones, 4 bytes each) still fit.
 */
const DICTIONARY_BYTES = 32 * 1024

/** `PAR1` before the first column chunk. */
const MAGIC_BYTES = 4

/** Texts of a column that a batch has as empty ones, and that are to lie in the file in their place. */
export interface TextsApart {
  /** Names from the outermost struct to the column, each of which may be null, and none is. */
  path: readonly string[]
  texts: readonly Uint8Array[]
}

/** May texts come apart from their batch? Where parquet-wasm compresses they may not. */
export function textsMayComeApart(profile: Profile): boolean {
  return zstdOf(profile) !== undefined
}

/**
 * Encodes one record batch as one Parquet row group: the profile's codec (ZSTD level 1 or SNAPPY), dictionaries and statistics on, data pages V1
 * (one-covenant/grail grail/infrastructure/parquet_io.py:265-272, 54d6342). Takes what parquet-wasm makes of the batch alone, without
 * its page index and footer. All WebAssembly memory is given back before it returns.
 * @param apart only where `textsMayComeApart`
 * @param tune other properties than the profile's, for files as other writers make them: parquet-wasm compresses then, too
 */
export function encodeRowGroup(
  batch: RecordBatch,
  profile: Profile,
  { apart, tune }: { apart?: TextsApart; tune?: (properties: WriterPropertiesBuilder) => WriterPropertiesBuilder } = {},
): EncodedRowGroup {
  const zstd = tune === undefined ? zstdOf(profile) : undefined
  if (apart && (!zstd || apart.texts.length !== batch.numRows))
    throw new Error('texts come apart from a batch of as many rows, where pages are compressed here')
  const wanted = new WriterPropertiesBuilder()
    .setCompression(zstd ? Compression.UNCOMPRESSED : Compression[profile.parquet.codec])
    .setDictionaryEnabled(true)
    .setDictionaryPageSizeLimit(DICTIONARY_BYTES)
    .setStatisticsEnabled(EnabledStatistics.Chunk)
    .setMaxRowGroupSize(Math.max(1, batch.numRows))
  const properties = (tune?.(wanted) ?? wanted).build()
  // Both arguments are moved into the call and freed by it.
  const file = writeParquet(Table.fromIPCStream(tableToIPC(new ArrowTable(batch), 'stream')), properties)
  const footer = footerOf(file)
  const description = footer.rowGroups[0]
  if (footer.rowGroups.length > 1) throw new Error('one record batch came out as several row groups')
  if (!description) return { bytes: new Uint8Array(), rows: 0, description: undefined, footer }
  const rows = batch.numRows
  if (zstd) return { bytes: compressed(file, description, zstd, apart), rows, description, footer }
  const end = Math.max(...chunksOf(description).map(chunk => chunk.start + chunk.bytes))
  movedBy(description, -MAGIC_BYTES)
  return { bytes: file.subarray(MAGIC_BYTES, end), rows, description, footer }
}

/** In parquet-wasm zstd runs as WebAssembly, which takes twice to three times as long. */
function zstdOf(profile: Profile): Zstd | undefined {
  return profile.parquet.codec === 'ZSTD' ? nativeZstd() : undefined
}

/** The row group's column chunks, compressed; `description` tells of them afterwards, as if they began at byte 0. */
function compressed(
  file: Uint8Array,
  description: ThriftStruct,
  zstd: Zstd,
  apart: TextsApart | undefined,
): Uint8Array {
  const pieces: Uint8Array[] = []
  let bytes = 0
  let uncompressedBytes = 0
  const chunks = chunksOf(description)
  const own = apart && chunks.find(({ meta }) => pathOf(meta) === apart.path.join('.'))
  if (apart && !own) throw new Error(`the batch has no column ${apart.path.join('.')}`)
  for (const { start, bytes: length, meta } of chunks) {
    const pages = apart && meta === own?.meta ? textsInto(meta, apart) : file.subarray(start, start + length)
    const chunk = compressPages(pages, zstd)
    meta.set(META.codec, { type: THRIFT.I32, value: ZSTD })
    setI64(meta, META.totalUncompressedSize, chunk.uncompressedBytes)
    setI64(meta, META.totalCompressedSize, chunk.bytes)
    setI64(meta, META.dataPageOffset, bytes + chunk.dataAt)
    if (chunk.dictionaryAt !== undefined) setI64(meta, META.dictionaryPageOffset, bytes + chunk.dictionaryAt)
    pieces.push(...chunk.pieces)
    bytes += chunk.bytes
    uncompressedBytes += chunk.uncompressedBytes
  }
  setI64(description, ROW_GROUP.totalBytes, uncompressedBytes)
  setI64(description, ROW_GROUP.fileOffset, 0)
  setI64(description, ROW_GROUP.totalCompressedSize, bytes)
  movedBy(description, 0)
  return Buffer.concat(pieces, bytes)
}

function pathOf(meta: ThriftStruct): string {
  const names = meta.get(META.path)?.value as ThriftList | undefined
  return (names?.items ?? []).map(name => Buffer.from(name as Uint8Array).toString()).join('.')
}

/**
 * The chunk of texts that came apart; `meta` loses what it said of the empty ones. Bounds are left out, as the reference's writer does
 * with values of more than 4 KB.
 */
function textsInto(meta: ThriftStruct, { path, texts }: TextsApart): Uint8Array {
  meta.set(META.encodings, {
    type: THRIFT.LIST,
    value: { of: THRIFT.I32, items: [ENCODING.PLAIN, ENCODING.RLE].map(BigInt) },
  })
  meta.set(META.statistics, { type: THRIFT.STRUCT, value: new Map([[NULL_COUNT, { type: THRIFT.I64, value: 0n }]]) })
  for (const id of [META.dictionaryPageOffset, META.encodingStatistics, META.sizeStatistics]) meta.delete(id)
  return textChunk(texts, path.length)
}

/** An integer field as the footer has it. */
function setI64(struct: ThriftStruct, id: number, value: number): void {
  struct.set(id, { type: THRIFT.I64, value: BigInt(value) })
}

/** Where a row group's column chunks lie, bytes from the start of the file. */
function chunksOf(rowGroup: ThriftStruct): { start: number; bytes: number; meta: ThriftStruct; chunk: ThriftStruct }[] {
  const columns = rowGroup.get(ROW_GROUP.columns)?.value as ThriftList | undefined
  const chunks = (columns?.items ?? []) as ThriftStruct[]
  return chunks.map(chunk => {
    const meta = chunk.get(CHUNK.metaData)?.value as ThriftStruct
    const data = Number(meta.get(META.dataPageOffset)?.value)
    const dictionary = meta.get(META.dictionaryPageOffset)?.value
    return {
      start: dictionary === undefined ? data : Math.min(data, Number(dictionary)),
      bytes: Number(meta.get(META.totalCompressedSize)?.value),
      meta,
      chunk,
    }
  })
}

/** Field ids of parquet-format src/main/thrift/parquet.thrift, release 2.10. */
const ROW_GROUP = { columns: 1, totalBytes: 2, fileOffset: 5, totalCompressedSize: 6, ordinal: 7 }
const CHUNK = {
  fileOffset: 2,
  metaData: 3,
  offsetIndexOffset: 4,
  offsetIndexLength: 5,
  columnIndexOffset: 6,
  columnIndexLength: 7,
}
const META = {
  encodings: 2,
  path: 3,
  codec: 4,
  totalUncompressedSize: 6,
  totalCompressedSize: 7,
  dataPageOffset: 9,
  indexPageOffset: 10,
  dictionaryPageOffset: 11,
  statistics: 12,
  encodingStatistics: 13,
  sizeStatistics: 16,
}
/** Of Statistics. */
const NULL_COUNT = 3
/** CompressionCodec. */
const ZSTD = 6n

/** Shifts every offset of a row group in place, forgets its page index (not carried over) and its ordinal. */
export function movedBy(rowGroup: ThriftStruct, bytes: number): ThriftStruct {
  const shift = (fields: ThriftStruct, id: number) => {
    const field = fields.get(id)
    if (field) field.value = (field.value as bigint) + BigInt(bytes)
  }
  for (const { chunk, meta } of chunksOf(rowGroup)) {
    for (const id of [META.dataPageOffset, META.indexPageOffset, META.dictionaryPageOffset]) shift(meta, id)
    for (const id of [
      CHUNK.offsetIndexOffset,
      CHUNK.offsetIndexLength,
      CHUNK.columnIndexOffset,
      CHUNK.columnIndexLength,
    ])
      chunk.delete(id)
    // Deprecated by the format; writers put 0 for "no metadata outside the footer".
    setI64(chunk, CHUNK.fileOffset, 0)
  }
  shift(rowGroup, ROW_GROUP.fileOffset)
  rowGroup.delete(ROW_GROUP.ordinal)
  return rowGroup
}

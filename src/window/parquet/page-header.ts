// Ids and values of parquet-format src/main/thrift/parquet.thrift, release 2.10, as page headers and column chunks have them.

/** Encoding. */
export const ENCODING = {
  PLAIN: 0,
  PLAIN_DICTIONARY: 2,
  RLE: 3,
  DELTA_BINARY_PACKED: 5,
  DELTA_LENGTH_BYTE_ARRAY: 6,
  DELTA_BYTE_ARRAY: 7,
  RLE_DICTIONARY: 8,
  BYTE_STREAM_SPLIT: 9,
} as const

/** PageType. */
export const PAGE_TYPE = { DATA: 0, INDEX: 1, DICTIONARY: 2, DATA_V2: 3 } as const

/** Field ids of PageHeader. */
export const PAGE_HEADER = { type: 1, uncompressed: 2, compressed: 3, dataPage: 5 }

/** Field ids of DataPageHeader. */
export const DATA_PAGE_HEADER = { values: 1, encoding: 2, definitions: 3, repetitions: 4 }

/** A page's header without statistics has some 20 bytes. */
export const PAGE_HEADER_ROOM_BYTES = 64

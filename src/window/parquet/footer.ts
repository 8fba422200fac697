import { readThrift, type ThriftList, type ThriftStruct, type ThriftValue, writeThrift } from './thrift.js'
import { THRIFT } from './thrift-types.js'

/** `PAR1`, first and last four bytes of a Parquet file. */
export const MAGIC: Uint8Array = new TextEncoder().encode('PAR1')

/** Behind the footer: its length, u32 little-endian, and the magic. */
export const TRAILER_BYTES = 8

/** Field ids of FileMetaData in parquet-format src/main/thrift/parquet.thrift, release 2.10. */
const FILE = { version: 1, schema: 2, rows: 3, rowGroups: 4, keyValues: 5, createdBy: 6, columnOrders: 7 }
const KEY_VALUE = { key: 1, value: 2 }

/** What one program put around its row groups. */
export interface ParquetFooter {
  schema: ThriftValue
  rowGroups: ThriftStruct[]
  keyValues: [string, string][]
  columnOrders: ThriftValue | undefined
}

/** The footer of a whole file that a trusted writer just made. @throws Error when it has none */
export function footerOf(file: Uint8Array): ParquetFooter {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const length = view.getUint32(file.length - TRAILER_BYTES, true)
  // A copy: the tree points into it for as long as the file is written, and must not keep the row groups' bytes alive.
  const thrift = file.slice(file.length - TRAILER_BYTES - length, file.length - TRAILER_BYTES)
  const fields = readThrift(thrift)
  const schema = fields.get(FILE.schema)?.value
  if (schema === undefined) throw new Error('the Parquet footer has no schema')
  const items = (id: number) => ((fields.get(id)?.value as ThriftList | undefined)?.items ?? []) as ThriftStruct[]
  const decoder = new TextDecoder()
  const text = (struct: ThriftStruct, id: number) => decoder.decode(struct.get(id)?.value as Uint8Array | undefined)
  return {
    schema,
    rowGroups: items(FILE.rowGroups),
    keyValues: items(FILE.keyValues).map(pair => [text(pair, KEY_VALUE.key), text(pair, KEY_VALUE.value)]),
    columnOrders: fields.get(FILE.columnOrders)?.value,
  }
}

/** The end of a file: footer, its length, magic. Only with these bytes do the row groups before them become a Parquet file. */
export function footerBytes(footer: ParquetFooter, rows: number, createdBy: string): Uint8Array {
  const encoder = new TextEncoder()
  const binary = (text: string) => ({ type: THRIFT.BINARY, value: encoder.encode(text) })
  const list = (items: ThriftStruct[]) => ({ type: THRIFT.LIST, value: { of: THRIFT.STRUCT, items } })
  const fields: ThriftStruct = new Map()
  // 2: the version that allows the dictionary encoding used here; the reference's files say the same.
  fields.set(FILE.version, { type: THRIFT.I32, value: 2n })
  fields.set(FILE.schema, { type: THRIFT.LIST, value: footer.schema })
  fields.set(FILE.rows, { type: THRIFT.I64, value: BigInt(rows) })
  fields.set(FILE.rowGroups, list(footer.rowGroups))
  fields.set(
    FILE.keyValues,
    list(
      footer.keyValues.map(
        ([key, value]) =>
          new Map([
            [KEY_VALUE.key, binary(key)],
            [KEY_VALUE.value, binary(value)],
          ]),
      ),
    ),
  )
  fields.set(FILE.createdBy, binary(createdBy))
  if (footer.columnOrders !== undefined)
    fields.set(FILE.columnOrders, { type: THRIFT.LIST, value: footer.columnOrders })
  const thrift = writeThrift(fields)
  const bytes = new Uint8Array(thrift.length + TRAILER_BYTES)
  bytes.set(thrift)
  new DataView(bytes.buffer).setUint32(thrift.length, thrift.length, true)
  bytes.set(MAGIC, thrift.length + 4)
  return bytes
}

import { Field, List, Schema } from 'apache-arrow'
import { WriterVersion } from 'parquet-wasm'
import t from 'tap'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { footerBytes, footerOf, MAGIC } from '../../src/window/parquet/footer.js'
import type { ReadRow } from '../../src/window/parquet/read-row.js'
import { openWindowReader } from '../../src/window/parquet/reader.js'
import type { WindowRow } from '../../src/window/parquet/row.js'
import { rowsOf } from '../../src/window/parquet/rows.js'
import { type ByteSource, bytesSource } from '../../src/window/parquet/source.js'
import { type ThriftList, type ThriftStruct, writeThrift } from '../../src/window/parquet/thrift.js'
import { THRIFT } from '../../src/window/parquet/thrift-types.js'
import { UnreadableFile } from '../../src/window/parquet/unreadable.js'
import { windowFileBytes } from '../../src/window/parquet/writer.js'
import { plainVariant, type Variant, variantBytes } from '../../supervisor/vectors/parquet-variants.js'
import { sampleGroup } from '../helpers/group.js'
import { withSampleSignatures } from '../helpers/signed.js'

const header = { wallet: '5Grw', windowStart: 30, windowLength: 30, timestamp: 5, rehearsal: false }
const groupOfRows = (index: number, completionLength = 60) =>
  rowsOf(withSampleSignatures(sampleGroup({ index, completionLength })), GRAIL_V5)

async function readAll(source: ByteSource, only?: ReadonlySet<string>): Promise<ReadRow[]> {
  const rows: ReadRow[] = []
  for await (const batch of (await openWindowReader(source)).batches(only)) rows.push(...batch)
  return rows
}

const text = (value: unknown) => (value instanceof Uint8Array ? new TextDecoder().decode(value) : value)
/** A written row as it comes back: JSON as text, typed arrays as they are. */
const asRead = (row: WindowRow) => ({ ...row, commit: { ...row.commit, commitments: text(row.commit?.commitments) } })

t.test('what was written is read back, row for row', async t => {
  const rows = [3, 0, 7].flatMap(index => groupOfRows(index))
  const bytes = await windowFileBytes(header, GRAIL_V5, rows)
  const reader = await openWindowReader(bytesSource(bytes))
  t.match(reader.header(), { ...header, inferenceCount: 48 })
  t.match(reader, { rows: 48, rowGroups: 1, createdBy: 'grail-fleet' })
  t.strictSame(await readAll(bytesSource(bytes)), rows.map(asRead))
})

t.test('only the asked columns are fetched', async t => {
  const bytes = await windowFileBytes(header, GRAIL_V5, groupOfRows(2, 2_000))
  let fetched = 0
  const counting: ByteSource = {
    bytes: bytes.length,
    read: async (from, to) => {
      fetched += to - from
      return bytes.subarray(from, to)
    },
  }
  const rows = await readAll(counting, new Set(['nonce', 'rollout_group']))
  t.strictSame(rows[5], { nonce: 37, rollout_group: 2 })
  t.ok(fetched < bytes.length / 10, `${fetched} of ${bytes.length} bytes`)
})

t.test('lists that go on over many pages come back whole', async t => {
  const rows = [0, 1].flatMap(index => groupOfRows(index, 400))
  for (const version of [WriterVersion.V1, WriterVersion.V2]) {
    const variant: Variant = {
      ...plainVariant(rows, []),
      tune: properties =>
        properties
          .setWriterVersion(version)
          .setDataPageSizeLimit(256)
          .setWriteBatchSize(64)
          .setDictionaryEnabled(false),
    }
    t.strictSame(await readAll(bytesSource(variantBytes(variant))), rows.map(asRead), `data pages ${version}`)
  }
})

t.test('row groups larger than what is fetched at once are read page by page', async t => {
  const rows = Array.from({ length: 30 }, (_, index) => groupOfRows(index, 3_000)).flat()
  const variant: Variant = { ...plainVariant(rows, []), tune: properties => properties.setDictionaryEnabled(false) }
  const bytes = variantBytes(variant)
  t.ok(bytes.length > 10 * 1024 * 1024, `one row group of ${bytes.length} bytes`)
  let largest = 0
  const counting: ByteSource = {
    bytes: bytes.length,
    read: async (from, to) => {
      largest = Math.max(largest, to - from)
      return bytes.subarray(from, to)
    },
  }
  const read = await readAll(counting)
  t.equal(read.length, rows.length)
  t.strictSame(read.at(-1), asRead(rows.at(-1) as WindowRow))
  t.ok(largest < bytes.length / 3, `no more than ${largest} bytes at once`)
})

t.test('nulls, empty lists and empty texts stay apart', async t => {
  const rows = structuredClone(groupOfRows(0))
  const [a, b, c, d] = rows as [WindowRow, WindowRow, WindowRow, WindowRow]
  a.commit = null
  b.commit = { ...b.commit, tokens: [], model: null, signature: '' }
  c.commit = { ...c.commit, tokens: [1, null, 3], rollout: { ...c.commit?.rollout, token_logprobs: null } }
  d.nonce = null
  const read = await readAll(bytesSource(await windowFileBytes(header, GRAIL_V5, rows)))
  t.equal(read[0]?.commit, null)
  t.same([...(read[1]?.commit?.tokens ?? ['null'])], [])
  t.equal(read[1]?.commit?.model, null)
  t.equal(read[1]?.commit?.signature, '')
  t.strictSame(read[2]?.commit?.tokens, [1, null, 3])
  t.equal(read[2]?.commit?.rollout?.token_logprobs, null)
  t.equal(read[3]?.nonce, null)
})

t.test('numbers keep their value at the edges', async t => {
  const rows = structuredClone(groupOfRows(0))
  const big = 9_007_199_254_740_993n
  Object.assign(rows[0] as WindowRow, { nonce: big, block: -1, timestamp: -0, rollout_group: -(2n ** 63n) })
  const logprobs = Float32Array.from([Number.NaN, Number.NEGATIVE_INFINITY, -0])
  Object.assign(rows[0]?.commit?.rollout ?? {}, { token_logprobs: logprobs, total_reward: Number.MIN_VALUE })
  const [read] = await readAll(bytesSource(await windowFileBytes(header, GRAIL_V5, rows)))
  t.equal(read?.nonce, big)
  t.equal(read?.block, -1)
  t.equal(read?.rollout_group, -(2n ** 63n))
  t.ok(Object.is(read?.timestamp, -0))
  t.strictSame(read?.commit?.rollout?.token_logprobs, logprobs)
  t.equal(read?.commit?.rollout?.total_reward, Number.MIN_VALUE)
})

/** The file with another footer. */
function withFooter(bytes: Uint8Array, change: (rowGroup: ThriftStruct) => unknown): Uint8Array {
  const footer = footerOf(bytes)
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 8, true)
  for (const rowGroup of footer.rowGroups) change(rowGroup)
  return Uint8Array.from(Buffer.concat([bytes.subarray(0, bytes.length - 8 - length), footerBytes(footer, 16, 'x')]))
}
function metaOf(rowGroup: ThriftStruct, column: number): ThriftStruct {
  const chunks = rowGroup.get(1)?.value as ThriftList | undefined
  const chunk = chunks?.items[column] as ThriftStruct | undefined
  const meta = chunk?.get(3)?.value as ThriftStruct | undefined
  if (!meta) throw new Error(`the row group has no column ${column}`)
  return meta
}
const long = (value: bigint) => ({ type: THRIFT.I64, value })

t.test('claims are compared with what is there before anything of their size is allocated', async t => {
  const good = await windowFileBytes(header, GRAIL_V5, groupOfRows(0))
  const trailer = (length: number) => {
    const bytes = good.slice()
    new DataView(bytes.buffer).setUint32(bytes.length - 8, length, true)
    return bytes
  }
  const footerOnly = (thrift: Uint8Array) => {
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, thrift.length, true)
    return Uint8Array.from(Buffer.concat([MAGIC, thrift, length, MAGIC]))
  }
  const cases: [string, Uint8Array, UnreadableFile['kind'], RegExp][] = [
    ['no bytes', new Uint8Array(), 'corrupt_parquet', /0 bytes/],
    ['eleven bytes', good.subarray(0, 11), 'corrupt_parquet', /11 bytes/],
    ['no magic at the end', good.subarray(0, good.length - 1), 'corrupt_parquet', /PAR1/],
    ['a footer longer than the file', trailer(0xffff_fff0), 'corrupt_parquet', /claims 4294967280 bytes/],
    ['a footer that is cut', trailer(40), 'reader_exception', /damaged|no tree|no type/],
    ['a footer of nothing', footerOnly(new Uint8Array([0])), 'reader_exception', /no tree/],
    [
      'a list of four billion row groups',
      footerOnly(new Uint8Array([0x49, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f])),
      'reader_exception',
      /exceeds the 0 bytes left/,
    ],
    [
      'structs in structs',
      footerOnly(new Uint8Array(5_000).fill(0x1c)),
      'reader_exception',
      /nested more than 32 deep/,
    ],
    [
      'a column chunk behind the end of the file',
      withFooter(good, rowGroup =>
        metaOf(rowGroup, 3)
          .set(9, long(1n << 40n))
          .delete(11),
      ),
      'reader_exception',
      /block_hash of row group 0 claims bytes/,
    ],
    [
      'a column chunk of negative size',
      withFooter(good, rowGroup => metaOf(rowGroup, 3).set(7, long(-5n))),
      'reader_exception',
      /claims bytes/,
    ],
    [
      'more rows than anybody reads',
      withFooter(good, rowGroup => rowGroup.set(3, long(1n << 40n))),
      'beyond_limits',
      /claims 1099511627776 rows/,
    ],
    [
      'more values than anybody reads',
      withFooter(good, rowGroup => metaOf(rowGroup, 10).set(5, long(1n << 40n))),
      'beyond_limits',
      /values/,
    ],
    [
      'more rows than there are',
      withFooter(good, rowGroup => rowGroup.set(3, long(17n))),
      'reader_exception',
      /fewer rows/,
    ],
    [
      'a codec that does not exist',
      withFooter(good, rowGroup => metaOf(rowGroup, 0).set(4, { type: THRIFT.I32, value: 99n })),
      'reader_exception',
      /unknown codec/,
    ],
    [
      'another codec than the pages have',
      withFooter(good, rowGroup => metaOf(rowGroup, 0).set(4, { type: THRIFT.I32, value: 1n })),
      'reader_exception',
      /window_start/,
    ],
    [
      'another type than the schema has',
      withFooter(good, rowGroup => metaOf(rowGroup, 0).set(1, { type: THRIFT.I32, value: 1n })),
      'reader_exception',
      /not of the schema's type/,
    ],
  ]
  for (const [what, bytes, kind, message] of cases)
    await t.rejects(readAll(bytesSource(bytes)), { name: 'UnreadableFile', kind, message }, what)
})

t.test('a page that would unpack to more than it says is refused, whatever its codec', async t => {
  const zeros = new Uint8Array(1 << 20)
  const { brotliCompressSync, gzipSync } = await import('node:zlib')
  // One raw-run block after the other: 4 bytes each for 128 KiB.
  const run = new Uint8Array(9 + 4 * 4_000)
  run.set([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58])
  for (let i = 0; i < 4_000; i++) {
    const block = (131_072 << 3) | 2 | (i === 3_999 ? 1 : 0)
    run.set([block & 0xff, (block >> 8) & 0xff, block >> 16, 0x41], 6 + 4 * i)
  }
  const bombs: [string, number, Uint8Array][] = [
    ['zstd', 6, run.subarray(0, 6 + 4 * 4_000)],
    ['gzip', 2, gzipSync(zeros)],
    ['brotli', 4, brotliCompressSync(zeros)],
  ]
  for (const [name, codec, packed] of bombs) {
    const int = (value: number) => ({ type: THRIFT.I32, value: BigInt(value) })
    const dataPage: ThriftStruct = new Map([
      [1, int(16)],
      [2, int(0)],
      [3, int(3)],
      [4, int(3)],
    ])
    const pageHeader: ThriftStruct = new Map([
      [1, int(0)],
      [2, int(1_000)],
      [3, int(packed.length)],
    ])
    pageHeader.set(5, { type: THRIFT.STRUCT, value: dataPage })
    const page = Buffer.concat([writeThrift(pageHeader), packed])
    const good = await windowFileBytes(header, GRAIL_V5, groupOfRows(0))
    const length = new DataView(good.buffer, good.byteOffset).getUint32(good.length - 8, true)
    const data = good.subarray(0, good.length - 8 - length)
    const footer = footerOf(good)
    for (const rowGroup of footer.rowGroups) {
      const meta = metaOf(rowGroup, 0)
      meta.set(4, int(codec))
      meta.set(7, long(BigInt(page.length)))
      meta.set(9, long(BigInt(data.length)))
      meta.delete(11)
    }
    const bytes = Uint8Array.from(Buffer.concat([data, page, footerBytes(footer, 16, 'x')]))
    await t.rejects(readAll(bytesSource(bytes)), { kind: 'reader_exception', message: /window_start/ }, name)
  }
})

t.test('columns of a shape nobody writes are not judged', async t => {
  const variant = plainVariant(groupOfRows(0), [])
  variant.schema = new Schema(
    variant.schema.fields.map(field =>
      field.name === 'nonce' ? new Field('nonce', new List(new Field('element', field.type, true)), true) : field,
    ),
  )
  for (const row of variant.rows) Object.assign(row, { nonce: [1] })
  await t.rejects(openWindowReader(bytesSource(variantBytes(variant))), {
    kind: 'beyond_limits',
    message: /nonce is not a plain value/,
  })
})

t.test('a source that fails is not a bad file', async t => {
  const bytes = await windowFileBytes(header, GRAIL_V5, groupOfRows(0))
  const gone = new Error('connection reset')
  let reads = 0
  const failing: ByteSource = {
    bytes: bytes.length,
    read: async (from, to) => {
      if (++reads > 2) throw gone
      return bytes.subarray(from, to)
    },
  }
  await t.rejects(readAll(failing), gone)
  t.notOk(gone instanceof UnreadableFile)
})

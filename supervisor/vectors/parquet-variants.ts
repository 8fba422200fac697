import { gzipSync } from 'node:zlib'
import {
  type DataType,
  Field,
  Float64,
  Int32,
  Int64,
  LargeList,
  LargeUtf8,
  List,
  Schema,
  Struct,
  Uint32,
  Uint64,
  Utf8,
} from 'apache-arrow'
import { Compression, EnabledStatistics, type WriterPropertiesBuilder, WriterVersion } from 'parquet-wasm'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { recordBatchOf } from '../../src/window/parquet/batch.js'
import { footerBytes, MAGIC, type ParquetFooter } from '../../src/window/parquet/footer.js'
import type { WindowRow } from '../../src/window/parquet/row.js'
import { encodeRowGroup, movedBy } from '../../src/window/parquet/row-group.js'
import { windowSchema } from '../../src/window/parquet/schema.js'

/** One window file in the making, as any writer could make it. */
export interface Variant {
  schema: Schema
  rows: WindowRow[]
  keyValues: [string, string][]
  /** Keep Arrow's own schema in the footer? */
  arrowSchema: boolean
  rowGroupRows: number
  tune(properties: WriterPropertiesBuilder): WriterPropertiesBuilder
  /** What is done to the finished bytes. */
  damage(bytes: Uint8Array): Uint8Array
}

type Change = (variant: Variant, match: RegExpExecArray) => void

export function plainVariant(rows: WindowRow[], keyValues: [string, string][]): Variant {
  return {
    schema: windowSchema(GRAIL_V5),
    rows,
    keyValues,
    arrowSchema: true,
    rowGroupRows: rows.length,
    tune: properties => properties,
    damage: bytes => bytes,
  }
}

/** The file's bytes. */
export function variantBytes(variant: Variant): Uint8Array {
  const pieces: Uint8Array[] = [MAGIC]
  const rowGroups: ParquetFooter['rowGroups'] = []
  let footer: ParquetFooter | undefined
  let at = MAGIC.length
  for (let from = 0; from < variant.rows.length; from += variant.rowGroupRows) {
    const batch = recordBatchOf(variant.schema, variant.rows.slice(from, from + variant.rowGroupRows))
    const encoded = encodeRowGroup(batch, GRAIL_V5, { tune: variant.tune })
    footer ??= encoded.footer
    if (!encoded.description) continue
    rowGroups.push(movedBy(encoded.description, at))
    pieces.push(encoded.bytes)
    at += encoded.bytes.length
  }
  if (!footer) throw new Error('a variant needs rows')
  const keyValues = [...variant.keyValues, ...(variant.arrowSchema ? footer.keyValues : [])]
  pieces.push(footerBytes({ ...footer, rowGroups, keyValues }, variant.rows.length, 'variant'))
  return variant.damage(Uint8Array.from(Buffer.concat(pieces)))
}

const ITEMS: Record<string, () => DataType> = {
  uint32: () => new Uint32(),
  uint64: () => new Uint64(),
  int32: () => new Int32(),
  int64: () => new Int64(),
  float64: () => new Float64(),
  double: () => new Float64(),
}

/** Where a short name lies: 'tokens' is commit.tokens. */
const PATHS: Record<string, string> = {
  tokens: 'commit.tokens',
  token_logprobs: 'commit.rollout.token_logprobs',
  commitments: 'commit.commitments',
  beacon: 'commit.beacon',
  proof_version: 'commit.proof_version',
  model: 'commit.model',
  rollout: 'commit.rollout',
  group: 'rollout_group',
  total_reward: 'commit.rollout.total_reward',
  advantage: 'commit.rollout.advantage',
  success: 'commit.rollout.success',
  prompt_length: 'commit.rollout.prompt_length',
  completion_length: 'commit.rollout.completion_length',
}
const pathOf = (name: string) => PATHS[name.trim()] ?? name.trim()

/** What each name of the vector file means, as a change of a plain file. First match counts. */
const CHANGES: readonly (readonly [name: RegExp, change: Change])[] = [
  [/^reference/, () => undefined],
  [/^compression (\w+)/, (variant, [, codec = '']) => compressed(variant, codec)],
  [
    /data ?page v?2/,
    variant => {
      variant.tune = properties => properties.setWriterVersion(WriterVersion.V2)
    },
  ],
  [
    /no dictionary/,
    variant => {
      variant.tune = properties => properties.setDictionaryEnabled(false).setStatisticsEnabled(EnabledStatistics.None)
    },
  ],
  [
    /^format/,
    variant => {
      variant.tune = properties => properties.setWriterVersion(WriterVersion.V1)
    },
  ],
  [
    /row.?groups? (?:size|of) (\d+)/,
    (variant, [, rows]) => {
      variant.rowGroupRows = Number(rows)
    },
  ],
  [
    /row.?groups/,
    variant => {
      variant.rowGroupRows = 5
    },
  ],
  [
    /'item'/,
    variant =>
      retyped(variant, type => (DataTypeIs.list(type) ? new List(renamed(type.children[0] as Field, 'item')) : type)),
  ],
  [
    /no ARROW:schema/,
    // pyarrow, told not to store Arrow's schema, stores none of its metadata either.
    variant => {
      variant.arrowSchema = false
      variant.keyValues = []
    },
  ],
  [
    /^metadata without (\w+)/,
    (variant, [, key]) => {
      variant.keyValues = variant.keyValues.filter(([name]) => name !== key)
    },
  ],
  [/^(\w+) metadata '([^']*)'/, (variant, [, key = '', value = '']) => keyed(variant, key, value)],
  [/^(\w+) metadata wrong \((.*)\)/, (variant, [, key = '', value = '']) => keyed(variant, key, value)],
  [/extra metadata/, variant => variant.keyValues.push(['another', 'entry'])],
  [
    /^(\w+) list<(\w+)>/,
    (variant, [, name = '', item = '']) => {
      const type = ITEMS[item]?.()
      if (type) retypedAt(variant, pathOf(name), () => new List(new Field('element', type, true)))
    },
  ],
  [
    /large_(list|string)/,
    variant =>
      retyped(variant, type => {
        if (DataTypeIs.list(type)) return new LargeList(type.children[0] as Field)
        return type instanceof Utf8 ? new LargeUtf8() : type
      }),
  ],
  [/^int64 for (.*)$/, (variant, [, names]) => retypedList(variant, names, () => new Int64())],
  [/^int32 for (.*)$/, (variant, [, names]) => retypedList(variant, names, () => new Int32())],
  [/^float64 for (.*)$/, (variant, [, names]) => retypedList(variant, names, () => new Float64())],
  [
    /^required/,
    variant => {
      variant.schema = new Schema(variant.schema.fields.map(field => new Field(field.name, field.type, false)))
    },
  ],
  [
    /^(.*?)(?: columns?)? missing$/,
    (variant, [, names = '']) => {
      for (const name of names.split('/')) removed(variant, pathOf(name))
    },
  ],
  [
    /reverse order/,
    variant => {
      variant.schema = new Schema([...variant.schema.fields].reverse())
    },
  ],
  [/^one null (\w+)$/, (variant, [, name = '']) => put(variant.rows[7] as WindowRow, pathOf(name), null)],
  [/null commit struct/, variant => put(variant.rows[3] as WindowRow, 'commit', null)],
  [/null (\w+) (?:list|struct)/, (variant, [, name = '']) => put(variant.rows[0] as WindowRow, pathOf(name), null)],
  [
    /null inside (\w+)/,
    (variant, [, name = '']) => {
      const row = variant.rows[0] as WindowRow
      const list = Array.from(at(row, pathOf(name)) as ArrayLike<number>) as (number | null)[]
      list[0] = null
      put(row, pathOf(name), list)
    },
  ],
  [/null (\w+) string/, (variant, [, name = '']) => put(variant.rows[0] as WindowRow, pathOf(name), null)],
  [
    /beacon compact/,
    ({ rows }) => {
      for (const row of rows) put(row, 'commit.beacon', JSON.stringify(JSON.parse(String(row.commit?.beacon))))
    },
  ],
  [/NaN token/, variant => put(variant.rows[0] as WindowRow, 'commit.commitments', '[{"sketch": NaN}]')],
  [/bad JSON|invalid JSON/, variant => put(variant.rows[0] as WindowRow, 'commit.commitments', '[{"sketch":')],
  [
    /truncated file \(last (\d+) bytes/,
    (variant, [, count]) => {
      variant.damage = bytes => bytes.subarray(0, bytes.length - Number(count))
    },
  ],
  [
    /^garbage/,
    variant => {
      variant.damage = bytes => bytes.map((_, i) => (i * 31 + 7) & 0xff)
    },
  ],
  [
    /^empty bytes/,
    variant => {
      variant.damage = () => new Uint8Array()
    },
  ],
  [
    /^gzip-wrapped/,
    variant => {
      variant.damage = bytes => new Uint8Array(gzipSync(bytes))
    },
  ],
]

/** Applies the change a case's name describes. @returns false when nobody has written down what the name means */
export function changed(variant: Variant, name: string): boolean {
  for (const [title, change] of CHANGES) {
    const match = title.exec(name)
    if (!match) continue
    change(variant, match)
    return true
  }
  return false
}

const CODECS: Record<string, Compression> = {
  none: Compression.UNCOMPRESSED,
  uncompressed: Compression.UNCOMPRESSED,
  snappy: Compression.SNAPPY,
  gzip: Compression.GZIP,
  brotli: Compression.BROTLI,
  lz4: Compression.LZ4_RAW,
  zstd: Compression.ZSTD,
}

function compressed(variant: Variant, name: string): void {
  const codec = CODECS[name.toLowerCase()]
  if (codec === undefined) throw new Error(`codec ${name} cannot be written here`)
  variant.tune = properties => properties.setCompression(codec)
}

function keyed(variant: Variant, key: string, value: string): void {
  variant.keyValues = variant.keyValues.map(([name, old]) => [name, name === key ? value : old])
}

const DataTypeIs = { list: (type: DataType): type is List => type instanceof List }

function renamed(field: Field, name: string): Field {
  return new Field(name, field.type, field.nullable)
}

/** Every type of the schema, innermost first, through `change`. */
function retyped(variant: Variant, change: (type: DataType, path: string) => DataType): void {
  const walk = (field: Field, prefix: string): Field => {
    const path = `${prefix}${field.name}`
    const inner =
      field.type instanceof Struct ? new Struct(field.type.children.map(child => walk(child, `${path}.`))) : field.type
    return new Field(field.name, change(inner, path), field.nullable)
  }
  variant.schema = new Schema(variant.schema.fields.map(field => walk(field, '')))
}

function retypedAt(variant: Variant, wanted: string, type: () => DataType): void {
  retyped(variant, (old, path) => (path === wanted ? type() : old))
}

function retypedList(variant: Variant, names: string | undefined, type: () => DataType): void {
  for (const name of (names ?? '').split('/')) retypedAt(variant, pathOf(name), type)
}

function removed(variant: Variant, wanted: string): void {
  const keep = (fields: Field[], prefix: string): Field[] =>
    fields
      .filter(field => `${prefix}${field.name}` !== wanted)
      .map(field =>
        field.type instanceof Struct
          ? new Field(field.name, new Struct(keep(field.type.children, `${prefix}${field.name}.`)), field.nullable)
          : field,
      )
  variant.schema = new Schema(keep(variant.schema.fields, ''))
}

type Tree = Record<string, unknown>

function at(row: WindowRow, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => (value as Tree)[name], row)
}

function put(row: WindowRow, path: string, value: unknown): void {
  const names = path.split('.')
  const last = names.pop() as string
  const parent = names.length === 0 ? row : at(row, names.join('.'))
  ;(parent as Tree)[last] = value
}

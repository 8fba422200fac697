import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parquetMetadata, type SchemaElement } from 'hyparquet'
import { commitSchemaFaults } from '../../src/protocol/commit-schema.js'
import { FORK_V1, GRAIL_V5, type Profile } from '../../src/protocol/profile.js'
import { type PythonJson, parsePythonJson } from '../../src/protocol/python-json.js'
import { floatRepr } from '../../src/protocol/python-number.js'
import { plainCommit } from '../../src/validation/commit-json.js'
import { inferenceOf } from '../../src/validation/inference.js'
import { surveyFile } from '../../src/validation/survey.js'
import type { ReadRow } from '../../src/window/parquet/read-row.js'
import { openWindowReader, type ReadHeader } from '../../src/window/parquet/reader.js'
import type { FileHeader, WindowRow } from '../../src/window/parquet/row.js'
import { bytesSource } from '../../src/window/parquet/source.js'
import { UnreadableFile } from '../../src/window/parquet/unreadable.js'
import { windowFileBytes } from '../../src/window/parquet/writer.js'
import { type Checks, same, type VectorFile } from './check.js'
import { mutationCheck } from './mutation-check.js'
import { changed, plainVariant, variantBytes } from './parquet-variants.js'

// biome-ignore lint/suspicious/noExplicitAny: a case of a vector file
type Case = any

/** Window files: written, read, and judged. */
export const parquetChecks: Checks = {
  'parquet_window.json': async (file, index) => {
    const wanted: Case = file.cases[index]
    const rows = (wanted.inferences_in as Case[]).map(inference => rowOf(inference))
    const sample = sampleOf(file, wanted)
    if (typeof sample === 'string') return sample
    const read = sample && (await readAll(sample))
    const differs =
      read &&
      (same(read.header, { ...wanted.read_back_header, rehearsal: false }) ??
        same(read.rows.length, wanted.n_rows) ??
        sameRows(read.rows.slice(0, rows.length), rows) ??
        (wanted.raw_row0 ? sameRows(read.rows.slice(0, 1), [wanted.raw_row0]) : undefined))
    if (differs) return `reading ${wanted.parquet_file}: ${differs}`
    const all = read ? (read.rows as WindowRow[]) : rows
    const bytes = await windowFileBytes(headerOf(wanted.window_data_without_inferences), GRAIL_V5, all)
    const complete = all.length === wanted.n_rows
    const footer = footerOf(bytes)
    const own = await readAll(bytes)
    const written =
      same(footer.leaves, wanted.footer.leaf_columns) ??
      (all.length > 0 ? same(footer.chunks, chunksOf(wanted.footer.column_chunks)) : undefined) ??
      same(footer.schema, schemaLines(wanted.footer.thrift_schema)) ??
      same(footer.version, wanted.footer.format_version) ??
      (complete ? same(footer.keyValues, sorted(wanted.footer.kv)) : undefined) ??
      same(footer.hasArrowSchema, wanted.footer.has_ARROW_schema_key) ??
      (complete ? same(own.header, { ...wanted.read_back_header, rehearsal: false }) : undefined) ??
      sameRows(own.rows, all)
    return written && `writing it anew: ${written}`
  },

  'parquet_window_fork.json': async (file, index) => {
    const wanted: Case = file.cases[index]
    const sample = sampleOf(file, wanted)
    if (typeof sample === 'string') return sample
    const raw: ReadRow = wanted.raw_row0
    const read = sample && (await readAll(sample))
    const differs = read && sameRows(read.rows.slice(0, 1), [raw])
    if (differs) return `reading ${wanted.parquet_file}: ${differs}`
    const rows = read ? (read.rows as WindowRow[]) : [raw as WindowRow]
    const header = { wallet: 'w', windowStart: 7_300_020, windowLength: 30, timestamp: 1, rehearsal: false }
    const bytes = await windowFileBytes(header, FORK_V1, rows)
    const footer = footerOf(bytes)
    const own = await readAll(bytes)
    const written =
      same(footer.schema, schemaLines(wanted.thrift_schema)) ??
      same([...new Set(footer.chunks.map(({ compression }) => compression))], [wanted.compression]) ??
      sameRows(own.rows, rows) ??
      same(comparable(own.rows[0] as ReadRow), comparable(rowOf(wanted.inference_in_row0, FORK_V1) as ReadRow))
    return written && `writing it anew: ${written}`
  },

  'parquet_reader_tolerance.json': async (file, index) => {
    const wanted: Case = file.cases[index]
    const { rows, keyValues } = toleranceBaseline(file)
    const variant = plainVariant(structuredClone(rows), keyValues)
    if (!changed(variant, wanted.name)) return `what "${wanted.name}" means is not known to this build`
    const outcome = await readLikeValidator(variantBytes(variant), rows as ReadRow[])
    if (wanted.outcome !== 'ok') {
      // Only a ParquetError is reported as a corrupt file; any other exception makes the file unfound.
      const kind = wanted.outcome === 'ParquetError' ? 'corrupt_parquet' : 'reader_exception'
      return same(outcome, { outcome: kind })
    }
    const { outcome: _outcome, name: _name, row0_schema_errors: errors = [], ...facts } = wanted
    const { schemaFaults = [], ...got } = outcome
    // The file names the first four.
    return same(got, { outcome: 'ok', ...facts }) ?? same(schemaFaults.slice(0, Math.max(4, errors.length)), errors)
  },

  'validator_mutations.json': mutationCheck,
}

/** Bytes of the sample file beside the vector file, undefined when it is not there, or what is wrong with it. */
function sampleOf(file: VectorFile, { parquet_file, size, sha256 }: Case): Uint8Array | string | undefined {
  const path = join(file.folder, parquet_file)
  if (!existsSync(path)) return undefined
  const bytes = new Uint8Array(readFileSync(path))
  const digest = createHash('sha256').update(bytes).digest('hex')
  if (bytes.length !== size || digest !== sha256) return `${parquet_file} is not the file the cases were made with`
  return bytes
}

async function readAll(bytes: Uint8Array): Promise<{ header: ReadHeaderText; rows: ReadRow[] }> {
  const reader = await openWindowReader(bytesSource(bytes))
  const rows: ReadRow[] = []
  for await (const batch of reader.batches()) rows.push(...batch)
  return { header: named(reader.header()), rows }
}

type ReadHeaderText = ReturnType<typeof named>

function named(header: ReadHeader) {
  return {
    wallet: header.wallet,
    window_start: header.windowStart,
    window_length: header.windowLength,
    inference_count: header.inferenceCount,
    timestamp: header.timestamp,
    rehearsal: header.rehearsal,
  }
}

/** The Python dictionary that went into the file, as a row. */
function rowOf(inference: Case, profile: Profile = GRAIL_V5): WindowRow {
  const { commit } = inference
  const { rollout } = commit
  const trajectory = profile.parquet.extraRolloutFields.includes('trajectory')
    ? { trajectory: JSON.stringify(rollout.trajectory) }
    : {}
  return {
    ...inference,
    commit: {
      ...commit,
      commitments: JSON.stringify(commit.commitments),
      beacon: JSON.stringify(commit.beacon),
      rollout: {
        ...rollout,
        ...trajectory,
        token_logprobs: rollout.token_logprobs.map(profile.parquet.logprobs === 'float32' ? Math.fround : Number),
      },
    },
  }
}

function headerOf(data: Case): Omit<FileHeader, 'inferenceCount'> {
  return {
    wallet: data.wallet,
    windowStart: data.window_start,
    windowLength: data.window_length,
    timestamp: data.timestamp,
    rehearsal: false,
  }
}

/** Rows are the same when every column is; JSON columns by what they mean. */
function sameRows(actual: readonly unknown[], expected: readonly unknown[]): string | undefined {
  if (actual.length !== expected.length) return `${actual.length} rows instead of ${expected.length}`
  for (const [i, row] of actual.entries()) {
    const differs = same(comparable(row as ReadRow), comparable(expected[i] as ReadRow))
    if (differs) return `row ${i}: ${differs}`
  }
  return undefined
}

const JSON_COLUMNS = new Set(['commitments', 'beacon', 'trajectory'])

/** Sorted keys, plain arrays, parsed JSON, floats that JSON cannot hold as text. */
function comparable(value: unknown, name = ''): unknown {
  if (typeof value === 'string' && JSON_COLUMNS.has(name)) return comparable(parsePythonJson(value))
  if (value instanceof Map) return comparable(Object.fromEntries(value as Map<string, PythonJson>))
  if (typeof value === 'number' && !Number.isFinite(value)) return floatRepr(value)
  if (typeof value === 'bigint') return Number(value)
  if (ArrayBuffer.isView(value)) return Array.from(value as Int32Array, item => comparable(item))
  if (Array.isArray(value)) return value.map(item => comparable(item))
  if (typeof value !== 'object' || value === null) return value ?? null
  return sorted(Object.fromEntries(Object.entries(value).map(([key, item]) => [key, comparable(item, key)])))
}

function sorted(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Footer facts as another reader (hyparquet) sees them, in pyarrow's words. */
function footerOf(bytes: Uint8Array) {
  const metadata = parquetMetadata(bytes)
  const leaves: Case[] = []
  const lines: string[] = []
  let next = 1
  const walk = (path: string[], definition: number, repetition: number, depth: number) => {
    const element = metadata.schema[next++] as SchemaElement
    const here = [...path, element.name]
    const def = definition + (element.repetition_type === 'REQUIRED' ? 0 : 1)
    const rep = repetition + (element.repetition_type === 'REPEATED' ? 1 : 0)
    const isText = element.converted_type === 'UTF8' || element.logical_type?.type === 'STRING'
    const indent = '  '.repeat(depth)
    const kind = element.repetition_type?.toLowerCase()
    if (element.num_children) {
      const isList = element.converted_type === 'LIST' || element.logical_type?.type === 'LIST'
      lines.push(`${indent}${kind} group ${element.name}${isList ? ' (List)' : ''} {`)
      for (let i = 0; i < element.num_children; i++) walk(here, def, rep, depth + 1)
      lines.push(`${indent}}`)
      return
    }
    const type = { BYTE_ARRAY: 'binary' }[element.type as string] ?? element.type?.toLowerCase()
    lines.push(`${indent}${kind} ${type} ${element.name}${isText ? ' (String)' : ''};`)
    leaves.push({
      path: here.join('.'),
      physical: element.type,
      logical: isText ? 'String' : 'None',
      max_def: def,
      max_rep: rep,
    })
  }
  for (let i = 0; i < (metadata.schema[0]?.num_children ?? 0); i++) walk([], 0, 0, 1)
  const keyValues = Object.fromEntries((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value]))
  const { 'ARROW:schema': arrowSchema, ...texts } = keyValues
  const chunks = (metadata.row_groups[0]?.columns ?? []).map(({ meta_data: meta }) => ({
    path: meta?.path_in_schema.join('.'),
    compression: meta?.codec,
    encodings: [...(meta?.encodings ?? [])].sort(),
    stats: meta?.statistics !== undefined,
  }))
  return {
    leaves,
    chunks,
    schema: lines,
    keyValues: sorted(texts),
    hasArrowSchema: arrowSchema !== undefined,
    version: metadata.version === 2 ? '2.6' : '1.0',
  }
}

function chunksOf(columns: Case[]): Case[] {
  return columns.map(column => ({ ...column, encodings: [...column.encodings].sort() }))
}

/** The lines of a printed Parquet schema between the root's braces. */
function schemaLines(text: string): string[] {
  const lines = text
    .split('\n')
    .map(line => line.replace(' field_id=-1', '').trimEnd())
    .filter(line => line !== '')
  const root = lines.findIndex(line => line.startsWith('required group'))
  return lines.slice(root + 1, -1)
}

/** Sixteen rows as the reference writes them, with the header that the cases name. */
function toleranceBaseline(file: VectorFile): { rows: WindowRow[]; keyValues: [string, string][] } {
  const reference: Case = file.cases.find((one: Case) => one.outcome === 'ok' && one.wallet !== '') ?? {}
  const windowStart = Number(reference.window_start ?? 7_654_320)
  const wallet = String(reference.wallet ?? '')
  const length = 52
  const rows = Array.from({ length: GRAIL_V5.groupSize }, (_, i): WindowRow => {
    const number = (j: number) => (Math.imul(i * 977 + j + 1, 0x9e3779b1) >>> 0) % 150_000
    return {
      window_start: windowStart,
      block: windowStart + 5,
      nonce: i,
      block_hash: `0x${'89a1'.repeat(16)}`,
      randomness: '56cc'.repeat(16),
      use_drand: true,
      rollout_group: 0,
      rollout_index: i,
      total_in_group: GRAIL_V5.groupSize,
      checkpoint_window: windowStart - 60,
      commit: {
        tokens: Array.from({ length }, (_, j) => number(j)),
        commitments: `[${Array.from({ length }, (_, j) => `{"sketch": ${number(1_000 + j)}}`).join(', ')}]`,
        proof_version: 'v5',
        model: { name: 'async_trainer_snapshot', layer_index: -1 },
        signature: 'c4'.repeat(64),
        beacon: `{"randomness": "${'56cc'.repeat(16)}"}`,
        rollout: {
          total_reward: 0.2,
          advantage: 0,
          success: false,
          token_logprobs: Array.from({ length }, (_, j) => (j < 12 ? 0 : Math.fround(-number(j) / 100_000))),
          prompt_length: 12,
          completion_length: length - 12,
        },
      },
      timestamp: 1_775_000_000.25,
      challenge: `|0x${'89a1'.repeat(16)}|${i}`,
      hotkey: wallet,
      signature: '06'.repeat(64),
    }
  })
  const keyValues: [string, string][] = [
    ['wallet', wallet],
    ['window_start', String(windowStart)],
    ['window_length', '30'],
    ['inference_count', String(rows.length)],
    ['timestamp', '1775000001.5'],
  ]
  return { rows, keyValues }
}

/** What the validator's reader and then its schema make of a file. */
async function readLikeValidator(bytes: Uint8Array, baseline: ReadRow[]): Promise<Case> {
  try {
    const reader = await openWindowReader(bytesSource(bytes))
    const { header } = await surveyFile(reader, {
      profile: GRAIL_V5,
      digests: false,
      signal: new AbortController().signal,
    })
    const rows: ReadRow[] = []
    for await (const batch of reader.batches()) rows.push(...batch)
    const [first] = rows
    const faults = first ? commitSchemaFaults(plainCommit(inferenceOf(first).commit), GRAIL_V5) : []
    return {
      outcome: 'ok',
      rows: rows.length,
      wallet: header.wallet,
      window_start: header.windowStart,
      same_rows: sameRows(rows, baseline) === undefined,
      row0_schema_ok: faults.length === 0,
      schemaFaults: faults,
    }
  } catch (error) {
    if (error instanceof UnreadableFile) return { outcome: error.kind }
    throw error
  }
}

import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FORK_V1, GRAIL_V5, type Profile } from '../../src/protocol/profile.js'
import type { ReadRow } from '../../src/window/parquet/read-row.js'
import { openWindowReader, type ReadHeader } from '../../src/window/parquet/reader.js'
import type { FileHeader, WindowRow } from '../../src/window/parquet/row.js'
import { bytesSource } from '../../src/window/parquet/source.js'
import { windowFileBytes } from '../../src/window/parquet/writer.js'
import { type Checks, same, type VectorFile } from './check.js'
import { mutationCheck } from './mutation-check.js'
import { chunksOf, footerOf, schemaLines } from './parquet-footer.js'
import { comparable, sameRows, sorted } from './parquet-rows.js'
import { toleranceChecks } from './parquet-tolerance.js'

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

  ...toleranceChecks,

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

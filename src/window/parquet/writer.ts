import { setImmediate } from 'node:timers/promises'
import type { Profile } from '../../protocol/profile.js'
import { recordBatchOf } from './batch.js'
import { footerBytes, MAGIC, type ParquetFooter } from './footer.js'
import { type Part, PartCutter } from './parts.js'
import type { FileHeader, SignedGroup, WindowRow } from './row.js'
import { type EncodedRowGroup, encodeRowGroup, movedBy, textsMayComeApart } from './row-group.js'
import { rowsOf } from './rows.js'
import { windowSchema } from './schema.js'

// How a window file is encoded, and why. Measured with Node 20 on two shared cores, 12,800 rollouts of 1,200 tokens, CPU time per
// rollout in a process that has warmed up:
//
//   apache-arrow record batches → parquet-wasm, one row group per call, footer by us     0.30 ms   126 MB file   270 MB peak RSS
//   the same with parquet's usual 1 MiB dictionaries                                     0.43 ms   158 MB
//   hyparquet-writer 0.17 (SNAPPY; Node 20 has no zstd for it)                           1.05 ms
//
// Of the 0.30 ms zstd took 0.13, rows and record batch 0.06, passing them to WebAssembly 0.05; as machine code zstd takes a third of that
// (native-zstd.ts). The commitments then go into the file by themselves (text-chunk.ts): some 5 % less of it all, and 38 MB less.
//
// parquet-wasm could also write a whole file as a stream, but its footer metadata is fixed at the start, when nobody knows the number of
// rows, and when its source fails it ends the file normally: valid, and cut short. Here every row group is encoded by itself and the footer
// is ours, so a file without its last bytes is no Parquet file, whatever went wrong before.

/**
 * Rows per Parquet row group: 8 groups of 16. Row groups of 16 rows cost 0.39 ms and a file of 147 MB, those of 64 rows 0.33 ms and
 * 130 MB, those of 128 rows 0.30 ms and 126 MB, those of 256 rows 0.28 ms and 124 MB but block the process for 125 ms instead of 84.
 */
export const ROW_GROUP_ROWS = 128

const CREATED_BY = 'grail-fleet'

/** The column that is two thirds of a row group; it goes into the file without Arrow and WebAssembly, which copy it eight times. */
const COMMITMENTS = ['commit', 'commitments']
const NOTHING = new Uint8Array(0)

export interface WindowFileOptions {
  profile: Profile
  /** Size of every part but the last, bytes. S3 and R2 want 5 MiB or more when there is more than one. */
  partBytes: number
  /** Takes the next part, in order. While its promise is pending nothing more is encoded; a rejection fails the file. */
  onPart(part: Part): void | Promise<void>
}

/** What came of a file that was closed. */
export interface WindowFileResult {
  bytes: number
  parts: number
  rows: number
  /** hex, over all parts in order */
  sha256: string
  rowGroups: number
}

/** A window file that is being written while its window is still open. */
export interface WindowFile {
  /** Appends 16 rows. Groups lie in the file in the order of these calls. */
  append(signed: SignedGroup): Promise<void>
  /** Appends rows as they are, e.g. those of a file read before. */
  appendRows(rows: WindowRow[]): Promise<void>
  /** Writes what is left and the footer: until here, nothing that was handed out can be read as a Parquet file. */
  close(): Promise<WindowFileResult>
  /** Gives the file up: no part is handed out any more, every later call rejects with `error`. */
  abort(error: Error): void
}

/**
 * Opens a window file (one-covenant/grail grail/infrastructure/parquet_io.py:34-86, 229-272, 54d6342). Row groups are encoded one at a time and
 * leave as parts; memory is one row group, one part and the growing footer (about 4 KB per row group), whatever the window's size.
 * The first error fails the file for good: it is thrown again by every later call and no footer is ever written.
 * @param header footer metadata; `inference_count` becomes the number of rows at close
 */
export function openWindowFile(header: Omit<FileHeader, 'inferenceCount'>, options: WindowFileOptions): WindowFile {
  const { profile, onPart } = options
  const cutter = new PartCutter(options.partBytes)
  const schema = windowSchema(profile)
  const rowGroups: ParquetFooter['rowGroups'] = []
  let common: ParquetFooter | undefined
  let waiting: WindowRow[] = []
  let rows = 0
  let failure: Error | undefined
  let closed = false
  /** Calls are done one after the other, in the order they came. */
  let last: Promise<unknown> = Promise.resolve()

  const handOut = async (parts: Part[]) => {
    for (const part of parts) {
      if (failure) throw failure
      await onPart(part)
    }
    if (failure) throw failure
  }
  const encode = (rows: WindowRow[]): EncodedRowGroup => {
    const texts = textsMayComeApart(profile) ? commitmentsOf(rows) : undefined
    if (!texts) return encodeRowGroup(recordBatchOf(schema, rows), profile)
    const others = rows.map(row => ({ ...row, commit: { ...row.commit, commitments: NOTHING } }))
    return encodeRowGroup(recordBatchOf(schema, others), profile, { apart: { path: COMMITMENTS, texts } })
  }
  const writeRowGroup = async (batch: WindowRow[]) => {
    const encoded = encode(batch)
    common ??= encoded.footer
    if (!encoded.description) return
    rowGroups.push(movedBy(encoded.description, cutter.bytes))
    rows += encoded.rows
    // Others get their turn after some 25 ms of encoding, and what zstd allocated is freed only between two turns.
    await setImmediate()
    await handOut(cutter.add(encoded.bytes))
  }
  const append = async (added: WindowRow[]) => {
    if (cutter.bytes === 0) await handOut(cutter.add(MAGIC))
    for (const row of added) {
      waiting.push(row)
      if (waiting.length < ROW_GROUP_ROWS) continue
      const full = waiting
      waiting = []
      await writeRowGroup(full)
    }
  }
  const finish = async (): Promise<WindowFileResult> => {
    await append([])
    if (waiting.length > 0 || !common) await writeRowGroup(waiting)
    const footer: ParquetFooter = { ...(common as ParquetFooter), rowGroups }
    footer.keyValues = [...keyValuesOf(header, rows), ...footer.keyValues]
    await handOut(cutter.add(footerBytes(footer, rows, CREATED_BY)))
    const { part, sha256 } = cutter.finish()
    await handOut([part])
    return { bytes: cutter.bytes, parts: cutter.parts, rows, sha256, rowGroups: rowGroups.length }
  }
  const inTurn = <T>(step: () => Promise<T>): Promise<T> => {
    const done = last.then(async () => {
      if (failure) throw failure
      try {
        return await step()
      } catch (error) {
        failure ??= error instanceof Error ? error : new Error(String(error))
        waiting = []
        throw failure
      }
    })
    last = done.catch(() => undefined)
    return done
  }

  return {
    append: signed => inTurn(async () => append(open(rowsOf(signed, profile)))),
    appendRows: added => inTurn(async () => append(open(added))),
    close: () =>
      inTurn(async () => {
        open(undefined)
        closed = true
        return finish()
      }),
    abort: error => {
      failure ??= error
      waiting = []
    },
  }

  function open<T>(value: T): T {
    if (closed) throw new Error('the window file is already closed')
    return value
  }
}

/** All rows as one file in memory: for small files, tests and vectors. */
export async function windowFileBytes(
  header: Omit<FileHeader, 'inferenceCount'>,
  profile: Profile,
  rows: WindowRow[],
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  const file = openWindowFile(header, {
    profile,
    partBytes: 1 << 20,
    onPart: part => {
      parts.push(part.bytes)
    },
  })
  await file.appendRows(rows)
  await file.close()
  return Uint8Array.from(Buffer.concat(parts))
}

/** Their commitments as bytes; undefined when one is missing, or is text still, as in rows that were read. */
function commitmentsOf(rows: readonly WindowRow[]): Uint8Array[] | undefined {
  const texts = rows.map(row => row.commit?.commitments)
  return texts.every(text => text instanceof Uint8Array) ? texts : undefined
}

/** All text, as Python's str() writes it: a whole timestamp keeps its `.0`. */
function keyValuesOf(header: Omit<FileHeader, 'inferenceCount'>, rows: number): [string, string][] {
  return [
    ['wallet', header.wallet],
    ['window_start', String(header.windowStart)],
    ['window_length', String(header.windowLength)],
    ['inference_count', String(rows)],
    ['timestamp', Number.isInteger(header.timestamp) ? `${header.timestamp}.0` : String(header.timestamp)],
    ...(header.rehearsal ? ([['rehearsal', 'true']] as [string, string][]) : []),
  ]
}

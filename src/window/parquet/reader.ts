import { pythonFloat, pythonInt } from '../../protocol/python-number.js'
import { ChunkReader, type Slice } from './chunk-reader.js'
import { type ColumnKind, columnsOf } from './columns.js'
import { type ChunkFacts, readFooter, type SchemaNode } from './read-footer.js'
import { type ReadRow, rowAssembly } from './read-row.js'
import type { ByteSource } from './source.js'
import { UnreadableFile } from './unreadable.js'

/** Row groups up to this size are fetched in one piece, bytes. */
const WHOLE_ROW_GROUP = 8 * 1024 * 1024
/** Rows given out at a time. */
const BATCH_ROWS = 32
/** Values in all columns together: a 350 MiB file of real rollouts has a tenth of it; run-length encoding can claim anything. */
const MAX_VALUES = 1_000_000_000

/** The footer's header as the reference reads it (grail/infrastructure/parquet_io.py:301, 54d6342). */
export interface ReadHeader {
  /** '' when absent. */
  wallet: string
  /** 0 when absent. */
  windowStart: number
  windowLength: number
  inferenceCount: number
  /** unix seconds */
  timestamp: number
  /** Marked as a rehearsal by us; no reference file carries this key. */
  rehearsal: boolean
}

export interface WindowReader {
  readonly rows: number
  readonly rowGroups: number
  readonly createdBy: string
  /** Kind of every column the reference asks for and the file has, by path. */
  readonly columns: ReadonlyMap<string, ColumnKind>
  /** @throws UnreadableFile 'reader_exception' when a footer number is none: the reference asks after it has read the pages */
  header(): ReadHeader
  /**
   * All rows in file order, some at a time. Holds one page per column, so memory does not grow with the file.
   * @param only columns to read, by path; all when left out
   */
  batches(only?: ReadonlySet<string>): AsyncGenerator<ReadRow[], void, undefined>
}

/**
 * Opens a window file of any writer the reference's reader accepts: any codec, page version, row-group split, column order, extra
 * columns, wider or narrower numbers, `item` or `element`. Only the footer is read here.
 * @throws UnreadableFile, which says how the validator would take it
 */
export async function openWindowReader(source: ByteSource): Promise<WindowReader> {
  const facts = await readFooter(source)
  const { columns, structs } = columnsOf(facts)
  const values = facts.rowGroups.reduce(
    (sum, rowGroup) =>
      columns.reduce((part, { leaf }) => part + (rowGroup.chunks[leaf.column] as ChunkFacts).values, sum),
    0,
  )
  if (values > MAX_VALUES)
    throw new UnreadableFile('beyond_limits', `the file claims ${values} values, more than the ${MAX_VALUES} read here`)
  return {
    rows: facts.rows,
    rowGroups: facts.rowGroups.length,
    createdBy: facts.createdBy,
    columns: new Map(columns.map(({ path, kind }) => [path, kind])),
    header: () => headerOf(facts.keyValues),
    async *batches(only) {
      const wanted = only ? columns.filter(({ path }) => only.has(path)) : columns
      const assemble = rowAssembly(wanted, structs, only === undefined)
      for (const rowGroup of facts.rowGroups) {
        const chunks = wanted.map(({ leaf }) => rowGroup.chunks[leaf.column] as ChunkFacts)
        const bytes = await wholeRowGroup(source, chunks)
        const readers = wanted.map(({ leaf }, i) => {
          const chunk = chunks[i] as ChunkFacts
          const codec = chunk.codec as NonNullable<ChunkFacts['codec']>
          return new ChunkReader(bytes, chunk, {
            leaf,
            codec,
            physical: leaf.physical as NonNullable<SchemaNode['physical']>,
          })
        })
        for (let at = 0; at < rowGroup.rows; at += BATCH_ROWS) {
          const rows: ReadRow[] = []
          const end = Math.min(rowGroup.rows, at + BATCH_ROWS)
          for (let i = at; i < end; i++) {
            const slices: Slice[][] = []
            for (const reader of readers) {
              const row = reader.row()
              slices.push(row instanceof Promise ? await row : row)
            }
            rows.push(assemble(slices))
          }
          yield rows
        }
      }
    },
  }
}

/** A source that holds the row group's bytes, when they are few and lie together; else the source itself. */
async function wholeRowGroup(source: ByteSource, chunks: ChunkFacts[]): Promise<ByteSource> {
  const from = Math.min(...chunks.map(chunk => chunk.start))
  const to = Math.max(...chunks.map(chunk => chunk.start + chunk.bytes))
  if (chunks.length === 0 || to - from > WHOLE_ROW_GROUP) return source
  const bytes = await source.read(from, to)
  return { bytes: source.bytes, read: async (a, b) => bytes.subarray(a - from, b - from) }
}

function headerOf(keyValues: Map<string, Uint8Array>): ReadHeader {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const text = (key: string): string | undefined => {
    const value = keyValues.get(key)
    if (value === undefined) return undefined
    try {
      return decoder.decode(value)
    } catch (cause) {
      throw new UnreadableFile('reader_exception', `footer entry ${key} is not UTF-8`, { cause })
    }
  }
  const number = (key: string, parse: (text: string) => number | bigint) => {
    const given = text(key)
    if (given === undefined) return 0
    try {
      return Number(parse(given))
    } catch (cause) {
      throw new UnreadableFile('reader_exception', `footer entry ${key} is "${given.slice(0, 40)}", no number`, {
        cause,
      })
    }
  }
  return {
    wallet: text('wallet') ?? '',
    windowStart: number('window_start', pythonInt),
    windowLength: number('window_length', pythonInt),
    inferenceCount: number('inference_count', pythonInt),
    timestamp: number('timestamp', pythonFloat),
    rehearsal: text('rehearsal') === 'true',
  }
}

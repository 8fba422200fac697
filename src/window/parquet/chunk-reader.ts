import {
  type DataPage,
  isData,
  isDictionary,
  type PageColumn,
  readData,
  readDictionary,
  readPageHeader,
} from './page.js'
import type { ChunkFacts } from './read-footer.js'
import type { ByteSource } from './source.js'
import { ThriftError } from './thrift-reader.js'
import { UnreadableFile } from './unreadable.js'
import type { Values } from './values.js'

/** Read ahead of what is needed, bytes: one request for most column chunks of a row group of 128 rows. */
const READ_AHEAD = 1024 * 1024
/** A page header has some 30 bytes; with long statistics a few kilobytes. */
const MAX_HEADER_BYTES = 1024 * 1024

/** A range of one page's entries (values and nulls). */
export interface Slice {
  page: DataPage
  from: number
  to: number
  /** Where its non-null values lie in `page.values`. */
  valueFrom: number
  valueTo: number
}

/**
 * Reads one column chunk row by row, holding one page and the dictionary.
 * Throws UnreadableFile 'reader_exception' for damaged pages and for fewer rows than asked.
 */
export class ChunkReader {
  readonly #source: ByteSource
  readonly #column: PageColumn
  readonly #end: number
  #next: number
  #ahead: Uint8Array = new Uint8Array()
  #aheadAt = 0
  #valuesLeft: number
  #dictionary: Values | undefined
  #page: DataPage | undefined
  /** First entry, and first non-null value, of the page that is not yet given out. */
  #entry = 0
  #value = 0

  constructor(source: ByteSource, chunk: ChunkFacts, column: PageColumn) {
    this.#source = source
    this.#column = column
    this.#next = chunk.start
    this.#end = chunk.start + chunk.bytes
    this.#valuesLeft = chunk.values
  }

  /**
   * The entries of the next row: one slice, or several when a list continues on later pages. A promise only where a page has to be
   * fetched: a file has millions of rows times columns.
   */
  row(): Slice[] | Promise<Slice[]> {
    const page = this.#page
    if (!page || this.#entry >= page.count) return this.#rowOfLaterPages()
    const slice = this.#restOfRow(true)
    return page.repetitions && this.#entry === page.count ? this.#continued(slice) : [slice]
  }

  async #rowOfLaterPages(): Promise<Slice[]> {
    if (!(await this.#ensureEntries())) throw this.#damaged('it has fewer rows than the footer says')
    return this.row()
  }

  /** A list that reaches the end of its page may go on with the next one. */
  async #continued(first: Slice): Promise<Slice[]> {
    const slices = [first]
    while (this.#page && this.#entry === this.#page.count && (await this.#ensureEntries())) {
      if (this.#page.repetitions?.[this.#entry] === 0) break
      slices.push(this.#restOfRow(false))
    }
    return slices
  }

  #restOfRow(first: boolean): Slice {
    const page = this.#page as DataPage
    const { repetitions, definitions } = page
    const full = this.#column.leaf.definition
    const from = this.#entry
    if (first && repetitions && repetitions[from] !== 0) throw this.#damaged('a row starts in the middle of a list')
    let to = from + (first ? 1 : 0)
    if (repetitions) while (to < page.count && repetitions[to] !== 0) to++
    else to = from + 1
    let valueTo = this.#value
    if (definitions) for (let i = from; i < to; i++) valueTo += definitions[i] === full ? 1 : 0
    else valueTo += to - from
    const slice = { page, from, to, valueFrom: this.#value, valueTo }
    this.#entry = to
    this.#value = valueTo
    return slice
  }

  /** Makes the next page current when this one is used up. @returns false at the end of the chunk */
  async #ensureEntries(): Promise<boolean> {
    while (!this.#page || this.#entry >= this.#page.count) {
      if (this.#next >= this.#end || this.#valuesLeft === 0) return false
      const next = await this.#readPage()
      if (!next) continue
      if (next.count > this.#valuesLeft) throw this.#damaged('its pages hold more values than the footer says')
      this.#valuesLeft -= next.count
      this.#page = next
      this.#entry = 0
      this.#value = 0
    }
    return true
  }

  async #readPage(): Promise<DataPage | undefined> {
    const { header, size } = await this.#readHeader()
    const bodyAt = this.#next + size
    if (bodyAt + header.compressed > this.#end) throw this.#damaged('a page ends behind its column chunk')
    const body = await this.#bytes(bodyAt, header.compressed)
    this.#next = bodyAt + header.compressed
    try {
      if (isDictionary(header)) this.#dictionary = readDictionary(header, body, this.#column)
      else if (isData(header)) return readData(header, body, this.#column, this.#dictionary)
      return undefined
    } catch (error) {
      if (error instanceof UnreadableFile) throw error
      throw this.#damaged((error as Error).message, error)
    }
  }

  async #readHeader() {
    for (let size = Math.min(4_096, this.#end - this.#next); ; size *= 8) {
      const bytes = await this.#bytes(this.#next, Math.min(size, this.#end - this.#next))
      try {
        const { header, end } = readPageHeader(bytes, 0)
        return { header, size: end }
      } catch (error) {
        if (error instanceof UnreadableFile) throw error
        const mayContinue = error instanceof ThriftError && this.#next + size < this.#end && size < MAX_HEADER_BYTES
        if (!mayContinue) throw this.#damaged((error as Error).message, error)
      }
    }
  }

  /** Exactly `size` bytes at `at`, from the read-ahead buffer where it holds them. */
  async #bytes(at: number, size: number): Promise<Uint8Array> {
    const held = this.#aheadAt + this.#ahead.length
    if (at < this.#aheadAt || at + size > held) {
      this.#ahead = new Uint8Array()
      this.#ahead = await this.#source.read(at, Math.min(this.#end, at + Math.max(size, READ_AHEAD)))
      this.#aheadAt = at
    }
    return this.#ahead.subarray(at - this.#aheadAt, at - this.#aheadAt + size)
  }

  #damaged(what: string, cause?: unknown): UnreadableFile {
    return new UnreadableFile('reader_exception', `column ${this.#column.leaf.path}: ${what}`, { cause })
  }
}

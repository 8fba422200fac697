/**
 * What the reference validator does with a file that cannot be read (one-covenant/grail grail/infrastructure/parquet_io.py:301 and
 * grail/validation/miner_validator.py:424-456, 54d6342):
 * - `corrupt_parquet`: it is no Parquet file, or its shape makes Arrow refuse it: failure flag.
 * - `reader_exception`: reading it raises something else (damaged pages, a null where a struct must be, bad JSON, a footer number that
 *   is none): treated as if no file were there.
 * - `beyond_limits`: it may be readable, but not within the memory and time we spend on a file: we cannot judge.
 */
export type UnreadableKind = 'corrupt_parquet' | 'reader_exception' | 'beyond_limits'

/** A window file that the reader gives up on, and how the validator would take it. */
export class UnreadableFile extends Error {
  readonly kind: UnreadableKind
  constructor(kind: UnreadableKind, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'UnreadableFile'
    this.kind = kind
  }
}

import type { Group } from '../group.js'

/** Signatures and texts of one row that the aggregator adds to a rollout. */
export interface SignedRow {
  /** hex128, no 0x: sr25519 over the commit binding */
  commitSignature: string
  /** '|0x…|nonce' */
  challenge: string
  /** hex128, no 0x: sr25519 over the challenge's UTF-8 bytes */
  signature: string
}

/** One group ready to be written: rows in rollout order. */
export interface SignedGroup {
  group: Group
  rows: SignedRow[]
}

/** Footer metadata of a window file (one-covenant/grail grail/infrastructure/parquet_io.py:254-261, 54d6342), all written as text. */
export interface FileHeader {
  wallet: string
  windowStart: number
  windowLength: number
  /** rows in the file; written when the file is closed */
  inferenceCount: number
  /** unix seconds */
  timestamp: number
  /** set for files of the rehearsal engine: written as key `rehearsal` = 'true' */
  rehearsal: boolean
}

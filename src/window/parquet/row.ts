import type { Group } from '../group.js'

/** Signatures and texts of one row that the aggregator adds to a rollout. */
export interface SignedRow {
  /** hex128, no 0x: sr25519 over the commit binding */
  commitSignature: string
  /** '|0x…|nonce' */
  challenge: string
  /** hex128, no 0x: sr25519 over the challenge's UTF-8 bytes */
  signature: string
  /** `commitmentsJson(sketches)` when the signer made it already: the bytes that were hashed for the commit signature. */
  commitmentsJson?: Uint8Array
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

/** A list column's value: typed arrays when written, plain arrays (with nulls where a file has them) when read. */
export type Numbers = Int32Array | Float32Array | Float64Array | (number | bigint | null)[]

/** JSON text, or its UTF-8 bytes. */
export type Text = string | Uint8Array

/**
 * One row under the file's own column names. Every column of the file is OPTIONAL, so everything may be null or absent
 * in what others wrote; the fork's three extra rollout columns are there by profile.
 */
export interface WindowRow {
  window_start?: number | bigint | null
  block?: number | bigint | null
  nonce?: number | bigint | null
  block_hash?: Text | null
  randomness?: Text | null
  use_drand?: boolean | null
  rollout_group?: number | bigint | null
  rollout_index?: number | bigint | null
  total_in_group?: number | bigint | null
  checkpoint_window?: number | bigint | null
  commit?: {
    tokens?: Numbers | null
    /** JSON: [{"sketch":1},…] */
    commitments?: Text | null
    proof_version?: Text | null
    model?: { name?: Text | null; layer_index?: number | bigint | null } | null
    signature?: Text | null
    /** JSON: {"randomness":"…"} */
    beacon?: Text | null
    rollout?: {
      trajectory?: Text | null
      total_reward?: number | null
      advantage?: number | null
      success?: boolean | null
      token_logprobs?: Numbers | null
      prompt_length?: number | bigint | null
      completion_length?: number | bigint | null
      satisfied_clauses?: number | bigint | null
      assignment?: (boolean | null)[] | null
    } | null
  } | null
  /** unix seconds */
  timestamp?: number | null
  challenge?: Text | null
  hotkey?: Text | null
  signature?: Text | null
}

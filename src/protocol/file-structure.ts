import type { Profile } from './profile.js'

/** What the whole-file check can refuse a file for, in the validator's words. */
export type StructureFault =
  | 'wallet_mismatch'
  | 'window_mismatch'
  | 'null_rollout_group'
  | 'window_start_mismatch'
  | 'block_hash_mismatch'
  | 'duplicate_nonce'
  | 'invalid_group_size'

/** The columns of a row that the whole-file check reads; null where the file holds a null. */
export interface StructureRow {
  rolloutGroup: number | bigint | string | null
  windowStart: number | bigint | null
  blockHash: string | null
  nonce: number | bigint | null
}

/** Where a file must belong. */
export interface StructureExpectation {
  hotkey: string
  window: number
  /** Text of the hash of block W, as the node writes it: case and 0x matter. */
  windowHash: string
}

/** A whole-file check under way; feed it every row in file order. */
export interface StructureCheck {
  /** Returns the fault of this row, if any. */
  row(row: StructureRow): StructureFault | undefined
  /** Returns the fault that only the end shows, and the group it is about. */
  end(): { fault: StructureFault; group: string; rows: number } | undefined
}

/** Judges a file's footer (one-covenant/grail grail/validation/miner_validator.py:476-567, 54d6342). */
export function footerFault(
  footer: { wallet: string | null; windowStart: number | null },
  expected: StructureExpectation,
): StructureFault | undefined {
  if (footer.wallet !== expected.hotkey) return 'wallet_mismatch'
  if (footer.windowStart !== expected.window) return 'window_mismatch'
  return undefined
}

/**
 * The checks a validator makes on every row before it chooses any (miner_validator.py:476-567, 54d6342), row by row so
 * that a file needs not be held. fork-v1 has none of them: its rows are checked only when opened.
 */
export function structureCheck(expected: StructureExpectation, profile: Profile): StructureCheck {
  const nonces = new Set<string>()
  const groupRows = new Map<string, number>()
  if (profile.contiguousGroups) return { row: () => undefined, end: () => undefined }
  return {
    row(row) {
      if (row.rolloutGroup === null) return 'null_rollout_group'
      if (row.windowStart === null || Number(row.windowStart) !== expected.window) return 'window_start_mismatch'
      if (row.blockHash !== expected.windowHash) return 'block_hash_mismatch'
      const nonce = String(row.nonce)
      if (nonces.has(nonce)) return 'duplicate_nonce'
      nonces.add(nonce)
      const group = String(row.rolloutGroup)
      groupRows.set(group, (groupRows.get(group) ?? 0) + 1)
      return undefined
    },
    end() {
      for (const [group, rows] of groupRows)
        if (rows !== profile.groupSize) return { fault: 'invalid_group_size', group, rows }
      return undefined
    },
  }
}

/** The verdict on a whole file held in memory. */
export function fileStructureFault(
  file: { wallet: string | null; windowStart: number | null; rows: Iterable<StructureRow> },
  expected: StructureExpectation,
  profile: Profile,
): StructureFault | undefined {
  const footer = footerFault(file, expected)
  if (footer) return footer
  const check = structureCheck(expected, profile)
  for (const row of file.rows) {
    const fault = check.row(row)
    if (fault) return fault
  }
  return check.end()?.fault
}

/**
 * What the validator makes of a file: `accepted`; `failure`, which flags the miner; `ignored`, as if there were no file.
 */
export type VerdictKind = 'accepted' | 'failure' | 'ignored'

/** What follows from each verdict (protocol.md §7.7; one-covenant/grail grail/validation/service.py:549-661, 54d6342). */
export const PENALTY: Readonly<Record<VerdictKind, string>> = {
  accepted: 'none',
  failure:
    'failure flag: zero weight while the window is among the last 12, and not selected for 14 processed windows (84 minutes or more)',
  ignored: 'treated as not uploaded: no score for this window, no flag',
}

/** One thing that is wrong. */
export interface Finding {
  /** The validator's name of the check where it has one, e.g. 'proof_valid', 'duplicate_nonce'. */
  check: string
  /** What the validator does about it: a whole-file, hard or group fault costs the file, soft ones from a limit on, notes nothing. */
  severity: 'file' | 'hard' | 'soft' | 'group' | 'note'
  /** Row of the file, from 0. */
  row?: number
  nonce?: string
  group?: string
  /** Position in the full sequence, prompt included, when it is about one. */
  position?: number
  expected: string
  actual: string
}

export interface Counts {
  bytes: number
  rows: number
  groups: number
  /** Rows opened, until the first that costs the file. */
  checked: number
  /** Rows of them that passed; 0 unless the file is accepted, as the validator counts. */
  valid: number
  /** Different completions among them. */
  unique: number
  /** trunc(rows · unique / checked): what the score counts (grail/validation/miner_validator.py:1658-1748, 54d6342). */
  estimatedUnique: number
}

export interface Verdict {
  verdict: VerdictKind
  /**
   * Why, in one word: 'file:<fault>', 'hard:<check>', 'soft:<check>' where the validator gives that reason itself, else
   * 'row:<check>' and 'group:<fault>'; null when accepted.
   */
  reason: string | null
  penalty: string
  counts: Counts
  /** The first ones, in the order they were found; `findingsTotal` counts all. */
  findings: Finding[]
  findingsTotal: number
  /** What an operator should know although the validator does not ask. */
  notes: string[]
  /** Checks of the validator that were not made, each with what was missing. */
  unjudged: string[]
}

/** We cannot say what the validator would do. Not a verdict. */
export class CannotJudge extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'CannotJudge'
  }
}

/** What a window came to. STAGED is a generator's word, the others the fleet's. */
export type Outcome = 'STAGED' | 'UPLOADED' | 'MISSED' | 'TRUNCATED' | 'EMPTY' | 'SKIPPED'

/** One line on grail.summary: of one actor, or of the fleet (`actor` = 'fleet'). */
export interface Summary {
  actor: string
  window: number
  epoch: number
  state: Outcome
  /** Why, for everything but UPLOADED and STAGED. */
  reason?: string
  rollouts: number
  problems: number
  /** Lowest claimed index that is not in the file. */
  firstHole?: number
  /** Groups dropped, by reason. */
  dropped: Record<string, number>
  duplicates: number
  bytes: number
  /** Seconds per step: which steps depends on the actor. */
  seconds: Record<string, number>
  /** Seconds between LastModified and the deadline. */
  secondsLeft?: number
  sha256?: string
  checkpoint: number
}

/** The line operators of today's miners grep for (Agile-Ascent-Limited/Grail docs/8xA100-MINING-GUIDE.md, c66a3e4). */
export function summaryLine(summary: Summary, at: Date): string {
  const clock = at.toISOString().slice(11, 19)
  return `[SUMMARY] ${summary.actor} | window=${summary.window} | rollouts=${summary.rollouts} | ${summary.state} | ${clock}`
}

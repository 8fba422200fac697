/** How many groups are generated at once: measured, not only set. */
export interface InFlight {
  limit(): number
  /** A group was generated. `saturated`: were as many groups being generated as the limit allows? */
  finished(tokens: number, saturated: boolean, nowMs: number): void
  /** The server ran out of memory: half as many from now on, and never that many again. @returns the new limit */
  outOfMemory(): number
}

/** A higher limit has to bring this much more throughput, or it is taken back: every group more waits longer. */
const WORTH_IT = 1.03
/** A step up, as a share of the limit; at least one group. */
const STEP = 0.25
/** Groups a measurement takes, in multiples of the limit: fewer say more about their lengths than about the server. */
const ROUNDS = 3
const FEWEST_MEASURED = 12
/** Measurements at an unchanged limit before a step up is tried again: the work of another checkpoint may differ. */
const HOLD = 10

/**
 * Climbs from `start` towards `most` as long as more groups in flight give more tokens per second, and steps back to the
 * best limit when they do not.
 */
export function groupsInFlight({ start, most }: { start: number; most: number }): InFlight {
  let limit = Math.max(1, Math.min(start, most))
  let ceiling = Math.max(1, most)
  let before: { limit: number; rate: number } | undefined
  let hold = 0
  /** Groups whose generation began under another limit are not measured. */
  let skip = limit
  let measured: { groups: number; tokens: number; sinceMs: number } | undefined

  function change(next: number): void {
    limit = next
    skip = next
    measured = undefined
  }

  function judge(rate: number): void {
    if (before && limit > before.limit && rate < before.rate * WORTH_IT) {
      const back = before.limit
      before = undefined
      hold = HOLD
      change(back)
      return
    }
    measured = undefined
    if (hold > 0) {
      hold--
      return
    }
    const next = Math.min(ceiling, limit + Math.max(1, Math.round(limit * STEP)))
    if (next === limit) return
    before = { limit, rate }
    change(next)
  }

  return {
    limit: () => limit,

    finished(tokens, saturated, nowMs) {
      if (!saturated) {
        measured = undefined
        return
      }
      if (skip > 0) {
        skip--
        return
      }
      if (!measured) {
        measured = { groups: 0, tokens: 0, sinceMs: nowMs }
        return
      }
      measured.groups++
      measured.tokens += tokens
      const elapsedMs = nowMs - measured.sinceMs
      if (measured.groups >= Math.max(FEWEST_MEASURED, ROUNDS * limit) && elapsedMs > 0)
        judge(measured.tokens / elapsedMs)
    },

    outOfMemory() {
      ceiling = Math.max(1, limit - 1)
      before = undefined
      hold = HOLD
      change(Math.max(1, Math.floor(limit / 2)))
      return limit
    },
  }
}

/** A group whose completions are there; times in ms, of one clock. */
export interface GeneratedGroup {
  tokens: number
  /** Were as many groups being generated as the limit allows? */
  saturated: boolean
  beganMs: number
  endedMs: number
}

/** How many groups are generated at once: measured, not only set. */
export interface InFlight {
  limit(): number
  finished(group: GeneratedGroup): void
  /**
   * The server ran out of memory: half as many from now on, and with this checkpoint never that many again. One incident
   * is told many times, by every rank of the server and by every completion it costs: only the first time counts.
   * @returns the new limit; undefined when the incident is known
   */
  outOfMemory(nowMs: number): number | undefined
  /** Another checkpoint: what did not fit may fit now, since its groups may be shorter. */
  newCheckpoint(): void
}

/** A higher limit has to bring this much more throughput, or it is taken back: every group more waits longer. */
const WORTH_IT = 1.03
/**
 * Doubling has to bring more: with a full batch every group takes twice as long, and what is in flight when a window ends
 * leaves the batch empty for that much longer. What less is worth, the small steps find.
 */
const WORTH_DOUBLING = 1.25
/** A lower one may cost this share and no more, all steps down together: little by little much would be lost. */
const KEPT = 0.99
/** A step, as a share of the limit; at least one group. At first the limit is doubled: few windows are to be enough. */
const STEP = 0.25
/** Groups a measurement takes, in multiples of the limit: fewer say more about their lengths than about the server. */
const ROUNDS = 3
const FEWEST_MEASURED = 12
/** Measurements at an unchanged limit before another one is tried again: the work of another checkpoint may differ. */
const FIRST_HOLD = 10
/** A trial that comes to nothing costs some throughput, so each waits twice as long as the one before, up to this. */
const LONGEST_HOLD = 80
/**
 * An incident is over when a group that began after it has been generated, or after this long, if none ever is: every rank
 * of the server writes its trace, and every completion is tried again, within seconds.
 */
const INCIDENT_MS = 60_000

/**
 * Climbs from `start` towards `most` as long as more groups in flight give more tokens per second, and back to a lower
 * one that gives as many: where it stands, a step up brought nothing and a step down cost something.
 */
export function groupsInFlight({ start, most }: { start: number; most: number }): InFlight {
  let limit = Math.max(1, Math.min(start, most))
  let ceiling = Math.max(1, most)
  /** Of the incident that is not over yet. */
  let incidentMs: number | undefined
  /**
   * While a trial is running: the limit to go back to if it comes to nothing, and the tokens per ms it is compared with.
   * These are what the limit gave, or on the way down the most that any step since the first one gave.
   */
  let before: { limit: number; rate: number } | undefined
  let up = true
  let hold = 0
  let nextHold = FIRST_HOLD
  /** Groups whose generation began under another limit, or all at once when a window was opened, are not measured. */
  let skip = limit
  /** Over as many windows as it takes: `lastMs` is when the last group ended, and undefined after a break. */
  let measured: { groups: number; tokens: number; ms: number; lastMs: number | undefined } | undefined
  /** Large steps, until one comes to nothing. */
  let finding = true

  function change(next: number): void {
    limit = next
    skip = next
    measured = undefined
  }

  function rest(): void {
    before = undefined
    up = !up
    hold = nextHold
    nextHold = Math.min(LONGEST_HOLD, nextHold * 2)
  }

  function judge(rate: number): void {
    measured = undefined
    if (before) {
      const worthIt = finding ? WORTH_DOUBLING : WORTH_IT
      const worth = up ? rate >= before.rate * worthIt : rate >= before.rate * KEPT
      if (!worth) {
        const back = before.limit
        if (finding) before = undefined
        else rest()
        finding = false
        change(back)
        return
      }
      nextHold = FIRST_HOLD
    }
    if (hold > 0) {
      hold--
      return
    }
    const step = finding ? limit : Math.max(1, Math.round(limit * STEP))
    const next = up ? Math.min(ceiling, limit + step) : Math.max(1, limit - step)
    if (next === limit) {
      finding = false
      rest()
      return
    }
    before = { limit, rate: !up && before ? Math.max(before.rate, rate) : rate }
    change(next)
  }

  return {
    limit: () => limit,

    finished({ tokens, saturated, beganMs, endedMs }) {
      if (incidentMs !== undefined && beganMs > incidentMs) incidentMs = undefined
      if (!saturated) {
        // What was measured counts on in the next window: with long groups one window has too few of them.
        if (measured) measured.lastMs = undefined
        skip = limit
        return
      }
      if (skip > 0) {
        skip--
        return
      }
      measured ??= { groups: 0, tokens: 0, ms: 0, lastMs: undefined }
      if (measured.lastMs !== undefined) {
        measured.groups++
        measured.tokens += tokens
        measured.ms += endedMs - measured.lastMs
      }
      measured.lastMs = endedMs
      if (measured.groups >= Math.max(FEWEST_MEASURED, ROUNDS * limit) && measured.ms > 0)
        judge(measured.tokens / measured.ms)
    },

    outOfMemory(nowMs) {
      if (incidentMs !== undefined && nowMs - incidentMs < INCIDENT_MS) return undefined
      incidentMs = nowMs
      ceiling = Math.max(1, limit - 1)
      before = undefined
      finding = false
      up = true
      hold = FIRST_HOLD
      nextHold = FIRST_HOLD
      change(Math.max(1, Math.floor(limit / 2)))
      return limit
    },

    newCheckpoint() {
      ceiling = Math.max(1, most)
    },
  }
}

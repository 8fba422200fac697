/** A group's completion in the paced server's hands. */
export interface Sequence {
  /** Whose completion it is: sequences of one group have one number. */
  group: number
  /** Steps until it has all its tokens, at least one. */
  tokens: number
  /** Its last token was made. */
  done(): void
}

/** One decode step, unix ms. */
export interface Step {
  beganMs: number
  endedMs: number
  /** Sequences that got a token, those that waited for a place, and the groups of both. */
  running: number
  waiting: number
  groups: number
}

/** From its first sequence's arrival to its last sequence's last token, unix ms. */
export interface ServedGroup {
  arrivedMs: number
  endedMs: number
  tokens: number
}

/** What a batcher did: between two steps that do not touch it was idle, or late. */
export interface BatcherRecord {
  steps: Step[]
  groups: ServedGroup[]
  /** Time in which a step was due and this process did not come to it, ms by the moment it was noticed. Neither work nor idleness of a GPU. */
  late: { atMs: number; ms: number }[]
}

/** Continuous batching at a GPU's pace. */
export interface Batcher {
  /** @returns the function that takes it out again before it is done */
  add(sequence: Sequence): () => void
  /** When the step under way ends, unix ms; undefined while there is none. */
  dueMs(): number | undefined
  /** Does what is due by now. */
  tick(nowMs: number): void
  record(): BatcherRecord
}

/**
 * A decode step takes `stepMs`, however many sequences are in it, up to `places`; who is beyond that waits, first come
 * first served. Sequences join and leave at every step. The clock is the caller's: a step begins when the one before it
 * was due to end, so timers that fire a little late do not slow it down.
 */
export function pacedBatcher({ stepMs, places }: { stepMs: number; places: number }, now: () => number): Batcher {
  let running: Sequence[] = []
  const waiting: Sequence[] = []
  const left = new Map<Sequence, number>()
  const kept: BatcherRecord = { steps: [], groups: [], late: [] }
  const open = new Map<number, ServedGroup & { sequences: number }>()
  let current: Step | undefined

  function begin(atMs: number): void {
    while (running.length < places && waiting.length > 0) running.push(waiting.shift() as Sequence)
    current =
      running.length === 0
        ? undefined
        : {
            beganMs: atMs,
            endedMs: atMs + stepMs,
            running: running.length,
            waiting: waiting.length,
            groups: open.size,
          }
  }

  function leave(sequence: Sequence, atMs: number): void {
    left.delete(sequence)
    const group = open.get(sequence.group)
    if (!group || --group.sequences > 0) return
    open.delete(sequence.group)
    const { arrivedMs, tokens } = group
    kept.groups.push({ arrivedMs, endedMs: atMs, tokens })
  }

  return {
    dueMs: () => current?.endedMs,

    add(sequence) {
      const group = open.get(sequence.group) ?? { arrivedMs: now(), endedMs: 0, tokens: 0, sequences: 0 }
      open.set(sequence.group, group)
      group.sequences++
      group.tokens += sequence.tokens
      left.set(sequence, sequence.tokens)
      waiting.push(sequence)
      if (!current) begin(now())
      return () => {
        if (!left.has(sequence)) return
        running = running.filter(other => other !== sequence)
        if (waiting.includes(sequence)) waiting.splice(waiting.indexOf(sequence), 1)
        leave(sequence, now())
      }
    },

    tick(nowMs) {
      while (current && current.endedMs <= nowMs) {
        const { endedMs } = current
        kept.steps.push(current)
        const ended: Sequence[] = []
        running = running.filter(sequence => {
          const tokens = (left.get(sequence) as number) - 1
          left.set(sequence, tokens)
          if (tokens > 0) return true
          ended.push(sequence)
          return false
        })
        for (const sequence of ended) leave(sequence, endedMs)
        const lateMs = nowMs - endedMs
        // A whole step behind: what would have been asked for meanwhile was not, so it is not caught up with.
        if (lateMs >= stepMs) kept.late.push({ atMs: nowMs, ms: lateMs })
        begin(lateMs >= stepMs ? nowMs : endedMs)
        for (const sequence of ended) sequence.done()
      }
    },

    record: () => kept,
  }
}

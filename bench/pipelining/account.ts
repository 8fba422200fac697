import type { BatcherRecord, ServedGroup } from './batcher.js'

/** Unix ms. */
export interface Span {
  fromMs: number
  toMs: number
}

/** What a paced server did in a span of time. */
export interface Account {
  /** Of the span: without what the server itself was late, which no GPU would have been. */
  ownMs: number
  lateMs: number
  /** No sequence was running. */
  idleMs: number
  /** Tokens for each second of its own time. */
  tokensPerSecond: number
  /** Places taken, of all its places, in its own time. */
  fill: number
}

const overlap = ({ fromMs, toMs }: Span, beganMs: number, endedMs: number): number =>
  Math.max(0, Math.min(toMs, endedMs) - Math.max(fromMs, beganMs))

/** @param of the server's steps, ms, and its places */
export function accountOf(record: BatcherRecord, span: Span, of: { stepMs: number; places: number }): Account {
  let lateMs = 0
  for (const { atMs, ms } of record.late) lateMs += overlap(span, atMs - ms, atMs)
  let busyMs = 0
  let tokens = 0
  for (const { beganMs, endedMs, running } of record.steps) {
    const ms = overlap(span, beganMs, endedMs)
    busyMs += ms
    tokens += (running * ms) / of.stepMs
  }
  const ownMs = span.toMs - span.fromMs - lateMs
  const tokensPerSecond = (tokens / ownMs) * 1_000
  return {
    ownMs,
    lateMs,
    idleMs: Math.max(0, ownMs - busyMs),
    tokensPerSecond,
    fill: (tokensPerSecond * of.stepMs) / 1_000 / of.places,
  }
}

/** Groups that came within a span, in the order they came. */
export function groupsWithin({ groups }: BatcherRecord, { fromMs, toMs }: Span): ServedGroup[] {
  return groups
    .filter(({ arrivedMs }) => arrivedMs >= fromMs && arrivedMs <= toMs)
    .sort((a, b) => a.arrivedMs - b.arrivedMs)
}

/**
 * From the last token of a group to the first sequence of the group that takes its place, ms: each group that comes is
 * matched with the group that ended last before it and has no successor yet. A group that comes while none is missing
 * has no pause.
 */
export function pausesOf(groups: readonly ServedGroup[]): number[] {
  const moments = groups.flatMap(({ arrivedMs, endedMs }) => [
    { atMs: arrivedMs, came: true },
    { atMs: endedMs, came: false },
  ])
  moments.sort((a, b) => a.atMs - b.atMs)
  const ended: number[] = []
  const pauses: number[] = []
  for (const { atMs, came } of moments) {
    if (!came) ended.push(atMs)
    else if (ended.length > 0) pauses.push(atMs - (ended.pop() as number))
  }
  return pauses
}

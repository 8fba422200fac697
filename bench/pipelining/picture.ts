import { lineChart } from '../report/line-chart.js'
import { type Stretch, timeline } from '../report/timeline.js'
import type { Span } from './account.js'
import type { ServedGroup, Step } from './batcher.js'

const SECOND_MS = 1_000
/** A curve's points are means over so long, ms. */
const POINT_MS = 500

/** Sequences running, over the seconds since the beginning of a span; 0 where no step was under way. */
export function runningCurve(steps: readonly Step[], { fromMs, toMs }: Span): [number, number][] {
  const points = Array.from({ length: Math.ceil((toMs - fromMs) / POINT_MS) }, () => 0)
  for (const { beganMs, endedMs, running } of steps) {
    const at = Math.floor((beganMs - fromMs) / POINT_MS)
    if (at >= 0 && at < points.length) points[at] = (points[at] as number) + (running * (endedMs - beganMs)) / POINT_MS
  }
  return points.map((mean, at) => [((at + 0.5) * POINT_MS) / SECOND_MS, mean])
}

export interface Curves {
  title: string
  fleet: readonly [number, number][]
  alone: readonly [number, number][]
  /** Groups in flight that the engine allowed itself, over the seconds. */
  limit: readonly [number, number][]
  places: number
}

/** How full the batch was, beside the same server without a fleet. */
export function sequencesPicture({ title, fleet, alone, limit, places }: Curves): string {
  return lineChart({
    title,
    x: { label: 'seconds since the window was opened' },
    y: { label: 'sequences, groups' },
    series: [
      { name: 'running', points: fleet },
      { name: 'nothing but generation', points: alone },
      { name: 'groups in flight allowed', points: limit },
    ],
    limit: { at: places, name: 'places in the batch' },
  })
}

/** Unix ms. */
export interface Afterwards {
  proveMs: number
  provedMs: number
  stagedMs: number
}

/** Every group at the server, each in the first place that is free, and below what became of it. */
export function groupsPicture(
  title: string,
  { fromMs, toMs }: Span,
  groups: readonly ServedGroup[],
  afterwards: readonly Afterwards[],
  marks: readonly { at: number; name: string }[],
): string {
  const at = (ms: number) => Math.max(0, (ms - fromMs) / SECOND_MS)
  const rows: { name: string; freeMs: number; stretches: Stretch[] }[] = []
  for (const { arrivedMs, endedMs } of groups) {
    const free = rows.find(({ freeMs }) => freeMs <= arrivedMs)
    const row = free ?? { name: `group ${rows.length + 1}`, freeMs: 0, stretches: [] }
    if (!free) rows.push(row)
    row.freeMs = endedMs
    row.stretches.push({ from: at(arrivedMs), to: at(endedMs), state: 'generate' })
  }
  const proofs = afterwards.map(({ proveMs, provedMs }) => ({ from: at(proveMs), to: at(provedMs), state: 'prove' }))
  const staged = afterwards.map(({ provedMs, stagedMs }) => ({
    from: at(provedMs),
    to: at(stagedMs),
    state: 'reward, stage',
  }))
  return timeline({
    title,
    rows: [...rows, { name: 'proof worker', stretches: proofs }, { name: 'generator', stretches: staged }],
    states: ['generate', 'prove', 'reward, stage'],
    marks,
    seconds: (toMs - fromMs) / SECOND_MS,
  })
}

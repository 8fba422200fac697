import { DEADLINE_SLACK_MS } from '../../src/window/block.js'
import type { Circumstances } from '../benchmark.js'
import { percentile } from '../measure/statistics.js'
import { type Figure, figure } from '../report/figure.js'
import { short } from '../report/table.js'
import type { Of } from '../window/fleet.js'
import { type Account, accountOf, groupsWithin, pausesOf, type Span } from './account.js'
import type { BatcherRecord } from './batcher.js'
import { limitAt, type Pace, type PacedFleet } from './fleet.js'
import { type Afterwards, groupsPicture, runningCurve, sequencesPicture } from './picture.js'

export interface Measured {
  pace: Pace
  /** Of a window. */
  seconds: number
  opened: Of<'opened'>
  /** From the arrival of the window's first group at the server to that of its last one. */
  inWindow: Span
  /** The same of the server without a fleet, as full. */
  alone: Span
  record: BatcherRecord
}

const IDLE_GOAL = 2
const THROUGHPUT_GOAL = 0.98
const SECOND_MS = 1_000

/** The last word on when draining of the window ends. */
function drainEndMs({ world }: PacedFleet, { window, payload }: Of<'opened'>): number {
  const moved = world.events.filter(
    (event): event is Of<'timers'> => event.kind === 'timers' && event.window === window,
  )
  return (moved.at(-1)?.payload.timers ?? payload.timers).drainEndMs
}

function stagedIn({ world }: PacedFleet, { window }: Of<'opened'>): Of<'staged'>[] {
  return world.events.filter((event): event is Of<'staged'> => event.kind === 'staged' && event.window === window)
}

function afterwards({ timeMs, payload: { seconds } }: Of<'staged'>): Afterwards {
  const provedMs = timeMs - (seconds.stage + seconds.reward) * SECOND_MS
  return { proveMs: provedMs - seconds.prove * SECOND_MS, provedMs, stagedMs: timeMs }
}

export function figuresOf(
  fleet: PacedFleet,
  measured: Measured,
  { draw, say }: Pick<Circumstances, 'draw' | 'say'>,
): Figure[] {
  const { pace, seconds, opened, inWindow, alone, record } = measured
  const form = `windows of ${seconds} s`
  const open: Span = { fromMs: opened.timeMs, toMs: inWindow.toMs }
  const whole = accountOf(record, open, pace)
  const working = accountOf(record, inWindow, pace)
  const baseline = accountOf(record, alone, pace)
  const groups = groupsWithin(record, inWindow)
  const staged = stagedIn(fleet, opened)
  const proving = staged.map(({ payload }) => payload.seconds.prove)
  const generating = staged.map(({ payload }) => payload.seconds.generate)
  const proved = proving.reduce((sum, one) => sum + one, 0)
  // What stands still after the last group came is the window's end, not coordination: it is told by itself.
  const pauses = pausesOf(groups).filter(ms => ms >= 0)
  const lateShare = ({ lateMs, ownMs }: Account) => (100 * lateMs) / (lateMs + ownMs)
  const spanMs = inWindow.toMs - inWindow.fromMs
  const reached = fleet.limits.filter(({ atMs }) => atMs <= inWindow.toMs).map(({ groups }) => groups)
  pictures(fleet, measured, draw)
  say(
    `idle ${short((100 * whole.idleMs) / whole.ownMs)} %, ${short(working.tokensPerSecond)} tokens/s beside ${short(baseline.tokensPerSecond)}, ${groups.length} groups`,
  )
  const one = (name: string, title: string, unit: string, value: number) =>
    figure({ id: `pipelining.${seconds}.${name}`, title: `${title}, ${form}`, unit, values: [value] })
  return [
    figure({
      id: `pipelining.${seconds}.idle`,
      title: `server idle while claims are made, ${form}`,
      unit: '%',
      values: [(100 * whole.idleMs) / whole.ownMs],
      goal: { of: 'value', is: 'at most', limit: IDLE_GOAL },
    }),
    figure({
      id: `pipelining.${seconds}.tokens`,
      title: `tokens generated, ${form}`,
      unit: '/s',
      values: [working.tokensPerSecond],
      baseline: { name: 'nothing but generation', values: [baseline.tokensPerSecond] },
      goal: { of: 'ratio', is: 'at least', limit: THROUGHPUT_GOAL },
    }),
    figure({
      id: `pipelining.${seconds}.fill`,
      title: `  places in the batch that were taken, ${form}`,
      unit: '%',
      values: [100 * working.fill],
      baseline: { name: 'nothing but generation', values: [100 * baseline.fill] },
    }),
    one('proofs', '  share of the time in proofs', '%', (100 * proved * SECOND_MS) / spanMs),
    one('pause.p50', '  pause between groups, p50', 'ms', percentile(pauses, 50)),
    one('pause.p99', '  pause between groups, p99', 'ms', percentile(pauses, 99)),
    one('groups.begin', '  groups in flight when it was opened', '', limitAt(fleet.limits, opened.timeMs)),
    one('groups.most', '  … the most that was tried', '', Math.max(...reached)),
    one('groups.end', '  … at the end', '', limitAt(fleet.limits, inWindow.toMs)),
    one('group.generate', '  a group at the server', 's', percentile(generating, 50)),
    one('group.prove', '  its proof', 's', percentile(proving, 50)),
    one('start', '  window opened to the first group', 's', (inWindow.fromMs - open.fromMs) / SECOND_MS),
    one('end', '  last group to the end of draining', 's', (drainEndMs(fleet, opened) - inWindow.toMs) / SECOND_MS),
    one('staged', '  groups staged', '', staged.length),
    one('lost', '  groups begun and not staged', '', groups.length - staged.length),
    one('late', '  time the paced server came late itself, left out', '%', lateShare(working)),
    one('late.alone', '  … with nothing but generation', '%', lateShare(baseline)),
  ]
}

function pictures(fleet: PacedFleet, measured: Measured, draw: Circumstances['draw']): void {
  const { pace, seconds, opened, inWindow, alone, record } = measured
  const endMs = drainEndMs(fleet, opened)
  const shown: Span = { fromMs: opened.timeMs, toMs: endMs }
  const beside: Span = { fromMs: alone.fromMs, toMs: alone.fromMs + (endMs - inWindow.fromMs) }
  const at = (ms: number) => (ms - shown.fromMs) / SECOND_MS
  const startSeconds = at(inWindow.fromMs)
  const limits = fleet.limits.filter(({ atMs }) => atMs > shown.fromMs && atMs < endMs)
  const steps: [number, number][] = [[0, limitAt(fleet.limits, shown.fromMs)]]
  for (const { atMs, groups } of limits) steps.push([at(atMs), steps.at(-1)?.[1] as number], [at(atMs), groups])
  steps.push([at(endMs), steps.at(-1)?.[1] as number])
  const title = `Sequences at the server in a window of ${seconds} s`
  draw(
    `pipelining-sequences-${seconds}s`,
    title,
    sequencesPicture({
      title,
      fleet: runningCurve(
        record.steps.filter(({ endedMs }) => endedMs < alone.fromMs),
        shown,
      ),
      alone: runningCurve(record.steps, beside).map(([second, mean]) => [second + startSeconds, mean]),
      limit: steps,
      places: pace.places,
    }),
  )
  const groupsTitle = `Groups at the server and their proofs in a window of ${seconds} s`
  const marks = [
    { at: at(inWindow.toMs), name: 'last group' },
    { at: at(endMs), name: 'draining ends' },
    { at: at(opened.payload.timers.deadlineMs + DEADLINE_SLACK_MS), name: 'block W+30' },
  ]
  draw(
    `pipelining-groups-${seconds}s`,
    groupsTitle,
    groupsPicture(
      groupsTitle,
      { fromMs: shown.fromMs, toMs: opened.payload.timers.deadlineMs + DEADLINE_SLACK_MS },
      groupsWithin(record, inWindow),
      stagedIn(fleet, opened).map(afterwards),
      marks,
    ),
  )
}

import { indicesOf } from '../../actors/ranges.js'
import { DEADLINE_SLACK_MS } from '../../src/window/block.js'
import { COMPLETE_BEFORE_MS } from '../../src/window/deadline.js'
import type { World } from '../../test/helpers/world.js'
import { GROUPS_PER_WINDOW, generatorName, type Of } from './fleet.js'

// What a window's journal says of how busy its GPUs were.

/** The window that counts: of 30 blocks of 12 s. */
export const REAL_SECONDS = 360
export const SECOND_MS = 1_000
/** Why a group that was made is not in the file, where time is the reason. */
const LATE: ReadonlySet<string> = new Set(['late', 'no-time'])
/** Steps in which the chance of the last group is summed up, of the longest group: finer ones change nothing. */
const STEPS = 2_000

/** One group on one GPU that is in the window's file, unix ms. */
export interface Work {
  generator: string
  /** The engine began, had all tokens, had all proofs; the group was staged. */
  beganMs: number
  generatedMs: number
  provedMs: number
  stagedMs: number
}

export interface Account {
  /** Part of all GPUs' time, from block W to block W+30, in which at least one group of the file was generated or proved. */
  use: number
  /** The same for each of the groups that a GPU has at once. */
  filled: number
  /** Part of the time in which a group could still be finished. */
  useWhileOpen: number
  /** The most of `use` for groups that take as long as these, see `mostOf`. */
  most: number
  /** The same GPUs with groups of 10 s in a window of 360 s, from the same pauses. */
  projected: number
  /** Seconds per GPU before its first group, and from the end of its last group to the end of draining, of the window. */
  start: number
  unfinished: number
  margin: number
  /** From the word to seal to the verified object, seconds: a part of the margin. */
  tail: number
  /** Times in which a GPU had none of these groups, between two of them, ms. */
  pauses: number[]
  /** Groups that were made and came too late for the file. */
  late: number
  groups: number
  /** Indices claimed of which there is no group: not done when draining ended, or never begun. */
  undone: number
}

/** The groups of a window's file, in the order in which they were begun. @throws Error for a window that has no file */
export function worksOf(world: World, window: number): Work[] {
  const inFile = new Set(indicesOf(eventIn(world, window, 'sealed').payload.indices))
  return stagedIn(world, window)
    .filter(({ index }) => inFile.has(index))
    .map(({ timeMs, payload: { generator, seconds } }) => {
      const provedMs = timeMs - (seconds.stage + seconds.reward) * SECOND_MS
      const generatedMs = provedMs - seconds.prove * SECOND_MS
      return { generator, beganMs: generatedMs - seconds.generate * SECOND_MS, generatedMs, provedMs, stagedMs: timeMs }
    })
    .sort((a, b) => a.beganMs - b.beganMs)
}

/**
 * @param gpus.groups that a GPU works on at once
 * @throws Error for a window whose object was not verified
 */
export function accountOf(world: World, opened: Of<'opened'>, gpus: { generators: number; groups: number }): Account {
  const { window, epoch, payload } = opened
  const { generators } = gpus
  const ofWindow = <E extends { window: number }>(event: E) => event.window === window
  const moved = world.events.filter((event): event is Of<'timers'> => event.kind === 'timers' && ofWindow(event))
  const timers = moved.at(-1)?.payload.timers ?? payload.timers
  const endMs = timers.deadlineMs + DEADLINE_SLACK_MS
  const wholeMs = endMs - payload.startMs
  const works = worksOf(world, window)
  let busyMs = 0
  let startMs = 0
  let unfinishedMs = 0
  const pauses: number[] = []
  for (let gpu = 0; gpu < generators; gpu++) {
    const busy = stretchesOf(works.filter(({ generator }) => generator === generatorName(gpu)))
    for (const { fromMs, toMs } of busy) busyMs += toMs - fromMs
    startMs += (busy[0]?.fromMs ?? endMs) - payload.startMs
    unfinishedMs += timers.drainEndMs - (busy.at(-1)?.toMs ?? payload.startMs)
    for (const [i, { toMs }] of busy.slice(0, -1).entries()) pauses.push((busy[i + 1]?.fromMs as number) - toMs)
  }
  const marginMs = endMs - timers.drainEndMs
  const pausedMs = pauses.reduce((sum, pause) => sum + pause, 0) / generators
  // What a window costs once does not grow with it; the group that would not be finished does, and there are as many pauses.
  const scale = (REAL_SECONDS * SECOND_MS) / wholeMs
  const pausesMs =
    gpus.groups === 1 ? (pausedMs / Math.max(1, works.length / generators)) * GROUPS_PER_WINDOW : pausedMs
  const lostMs = startMs / generators + marginMs + Math.max(0, unfinishedMs / generators) * scale + pausesMs
  const { tail } = eventIn(world, window, 'summarised').payload.seconds
  if (tail === undefined) throw new Error(`window ${window} has no verified object`)
  const late = world.events.filter(
    event => ofWindow(event) && (event.kind === 'dropped' || event.kind === 'gaveup') && LATE.has(event.payload.reason),
  ).length
  const workedMs = works.reduce((sum, { beganMs, provedMs }) => sum + provedMs - beganMs, 0)
  const indices = new Set(stagedIn(world, window).map(({ index }) => index))
  return {
    use: busyMs / (generators * wholeMs),
    filled: workedMs / (generators * gpus.groups * wholeMs),
    useWhileOpen: busyMs / (generators * (timers.drainEndMs - payload.startMs)),
    most: mostOf(works, gpus.groups, { wholeMs, tailMs: tail * SECOND_MS }),
    projected: 1 - lostMs / (REAL_SECONDS * SECOND_MS),
    start: startMs / generators / SECOND_MS,
    unfinished: unfinishedMs / generators / SECOND_MS,
    margin: marginMs / SECOND_MS,
    tail,
    pauses,
    late,
    groups: works.length,
    undone: (world.claims.get(`${window}.${epoch}`) ?? []).filter(({ index }) => !indices.has(index)).length,
  }
}

function eventIn<K extends 'sealed' | 'summarised'>(world: World, window: number, kind: K): Of<K> {
  const found = world.events.find((event): event is Of<K> => event.kind === kind && event.window === window)
  if (!found) throw new Error(`window ${window} was not ${kind}`)
  return found
}

function stagedIn(world: World, window: number): Of<'staged'>[] {
  return world.events.filter((event): event is Of<'staged'> => event.kind === 'staged' && event.window === window)
}

/** The times in which at least one of a GPU's groups was at work. */
function stretchesOf(works: readonly Work[]): { fromMs: number; toMs: number }[] {
  const stretches: { fromMs: number; toMs: number }[] = []
  for (const { beganMs, provedMs } of works) {
    const last = stretches.at(-1)
    if (last && beganMs <= last.toMs) last.toMs = Math.max(last.toMs, provedMs)
    else stretches.push({ fromMs: beganMs, toMs: provedMs })
  }
  return stretches
}

/**
 * Part of a window that GPUs with groups like these use at best: without any pause, to the last moment from which an object is complete
 * `COMPLETE_BEFORE_MS` before the deadline. What each of them has begun last is not done then. A group that somebody finds under way has
 * been so for more than a ms with the chance S(a) = Σ max(0, x − a) / Σ x, the newest of `groups` with S(a)^groups: the sum of
 * that is what is lost.
 */
function mostOf(works: readonly Work[], groups: number, window: { wholeMs: number; tailMs: number }): number {
  const taken = works.map(({ beganMs, provedMs }) => provedMs - beganMs)
  const sum = taken.reduce((all, ms) => all + ms, 0)
  const stepMs = Math.max(...taken) / STEPS
  let lostMs = 0
  for (let step = 0; step < STEPS; step++) {
    const agoMs = (step + 0.5) * stepMs
    lostMs += (taken.reduce((left, ms) => left + Math.max(0, ms - agoMs), 0) / sum) ** groups * stepMs
  }
  return 1 - (DEADLINE_SLACK_MS + COMPLETE_BEFORE_MS + window.tailMs + lostMs) / window.wholeMs
}

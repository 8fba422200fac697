import { DEADLINE_SLACK_MS, WINDOW_BLOCKS } from '../../src/window/block.js'
import type { World } from '../../test/helpers/world.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { cleanly } from '../measure/bounded.js'
import { cpuSecondsOf, memoryOf } from '../measure/process.js'
import { percentile } from '../measure/statistics.js'
import { type Figure, figure } from '../report/figure.js'
import { short } from '../report/table.js'
import { type Stretch, timeline } from '../report/timeline.js'
import { eventOf, GROUPS_PER_WINDOW, type Of, startFleet } from './fleet.js'
import { watchMemory } from './memory.js'

const REAL_SECONDS = 360
const SHORT_SECONDS = 60
const GENERATORS = 8
const MANY_GENERATORS = 32
/** More than they can make: 5,000 rollouts of a window count, which 32 of them have made after 100 s, and then they would rest. */
const MANY_GROUPS = 2 * MANY_GENERATORS * GROUPS_PER_WINDOW
const USE_GOAL = 0.97
/** The first window has nothing learned of tails and paces yet: it is not counted. */
const WARM_UP_WINDOWS = 1
const MEASURED_WINDOWS = 1
const SECOND_MS = 1_000
const MEGA = 1e6

/** One group on one GPU, unix ms. */
interface Work {
  generator: string
  /** The engine began, had all tokens, had all proofs; the group was staged. */
  beganMs: number
  generatedMs: number
  provedMs: number
  stagedMs: number
}

interface Measured {
  /** Part of all GPUs' time, from block W to block W+30, spent generating and proving groups that were staged. */
  use: number
  /** Part of the time in which a group could still be finished. */
  useWhileOpen: number
  /** The same GPUs with groups of 10 s in a window of 360 s, from the same pauses. */
  projected: number
  /** Seconds per GPU before its first group, and from the end of its last group to the end of draining, of the window. */
  start: number
  unfinished: number
  margin: number
  /** Pauses of a GPU between two groups, ms. */
  pauses: number[]
  late: number
  groups: number
}

function worksOf(world: World, window: number): Work[] {
  return world.events
    .filter((event): event is Of<'staged'> => event.kind === 'staged' && event.window === window)
    .map(({ timeMs, payload: { generator, seconds } }) => {
      const provedMs = timeMs - (seconds.stage + seconds.reward) * SECOND_MS
      const generatedMs = provedMs - seconds.prove * SECOND_MS
      return { generator, beganMs: generatedMs - seconds.generate * SECOND_MS, generatedMs, provedMs, stagedMs: timeMs }
    })
    .sort((a, b) => a.beganMs - b.beganMs)
}

function measured(world: World, { window, payload }: Of<'opened'>, generators: number): Measured {
  const moved = world.events.filter(
    (event): event is Of<'timers'> => event.kind === 'timers' && event.window === window,
  )
  const timers = moved.at(-1)?.payload.timers ?? payload.timers
  const endMs = timers.deadlineMs + DEADLINE_SLACK_MS
  const wholeMs = endMs - payload.startMs
  const all = worksOf(world, window)
  const gpus = new Set(all.map(({ generator }) => generator))
  let busyMs = 0
  let startMs = 0
  let unfinishedMs = 0
  const pauses: number[] = []
  for (const gpu of gpus) {
    const works = all.filter(({ generator }) => generator === gpu)
    for (const { beganMs, provedMs } of works) busyMs += provedMs - beganMs
    startMs += (works[0]?.beganMs ?? endMs) - payload.startMs
    unfinishedMs += timers.drainEndMs - (works.at(-1)?.provedMs ?? payload.startMs)
    for (let i = 1; i < works.length; i++)
      pauses.push((works[i]?.beganMs as number) - (works[i - 1]?.provedMs as number))
  }
  const marginMs = endMs - timers.drainEndMs
  const meanPauseMs = pauses.reduce((sum, pause) => sum + pause, 0) / Math.max(1, pauses.length)
  // What a window costs once does not grow with it; the group that would not be finished does.
  const scale = (REAL_SECONDS * SECOND_MS) / wholeMs
  const lostMs =
    startMs / generators +
    marginMs +
    Math.max(0, unfinishedMs / generators) * scale +
    meanPauseMs * (GROUPS_PER_WINDOW - 1)
  const late = world.events.filter(
    event =>
      event.window === window &&
      (event.kind === 'dropped' || event.kind === 'gaveup') &&
      event.payload.reason === 'late',
  ).length
  return {
    use: busyMs / (generators * wholeMs),
    useWhileOpen: busyMs / (generators * (timers.drainEndMs - payload.startMs)),
    projected: 1 - lostMs / (REAL_SECONDS * SECOND_MS),
    start: startMs / generators / SECOND_MS,
    unfinished: unfinishedMs / generators / SECOND_MS,
    margin: marginMs / SECOND_MS,
    pauses,
    late,
    groups: all.length,
  }
}

/** What every GPU did when. */
function pictureOf(
  world: World,
  { window, payload }: Of<'opened'>,
  generators: number,
): { title: string; svg: string } {
  const at = (ms: number) => (ms - payload.startMs) / SECOND_MS
  const works = worksOf(world, window)
  const rows = Array.from({ length: generators }, (_, i) => `generator-test-${i}`).map(name => ({
    name: name.replace('-test', ''),
    stretches: works
      .filter(({ generator }) => generator === name)
      .flatMap(({ beganMs, generatedMs, provedMs, stagedMs }): Stretch[] => [
        { from: at(beganMs), to: at(generatedMs), state: 'generate' },
        { from: at(generatedMs), to: at(provedMs), state: 'prove' },
        { from: at(provedMs), to: at(stagedMs), state: 'stage' },
      ]),
  }))
  const moment = (kind: 'sealed' | 'uploaded', name: string) => {
    const event = world.events.find(event => event.kind === kind && event.window === window)
    return event ? [{ at: at(event.timeMs), name }] : []
  }
  const { timers } = payload
  const seconds = at(timers.deadlineMs + DEADLINE_SLACK_MS)
  const marks = [
    { at: at(timers.drainEndMs), name: 'draining ends' },
    ...moment('sealed', 'sealed'),
    ...moment('uploaded', 'verified'),
    { at: at(timers.deadlineMs), name: 'deadline' },
  ]
  const title = `A window of ${seconds.toFixed(0)} s on ${generators} generators`
  return { title, svg: timeline({ title, rows, states: ['generate', 'prove', 'stage'], marks, seconds }) }
}

async function form({ draw, say }: Circumstances, generators: number, seconds: number, policy = ''): Promise<Figure[]> {
  return cleanly(async bench => {
    const world = await startFleet(bench, { generators, windowSeconds: seconds, policy })
    const patience = 2 * seconds * SECOND_MS + 60_000
    const first = await eventOf(world, 'opened', () => true, patience)
    const pids = ['controller', 'aggregator', 'uploader'].map(name => world.actor(name).pid)
    const memory = watchMemory(
      ['controller', 'aggregator', 'uploader', 'generator-0'].map(name => [name, world.actor(name).pid]),
    )
    bench.teardown(async () => memory.stop())
    const all: Measured[] = []
    let cpu: number[] = []
    for (let i = 0; i < WARM_UP_WINDOWS + MEASURED_WINDOWS; i++) {
      const window = first.window + i * WINDOW_BLOCKS
      const opened = await eventOf(world, 'opened', event => event.window === window, patience)
      cpu = [...pids, world.nats.pid].map(cpuSecondsOf)
      await eventOf(world, 'summarised', event => event.window === window, patience)
      cpu = [...pids, world.nats.pid].map((pid, at) => cpuSecondsOf(pid) - (cpu[at] as number))
      if (i < WARM_UP_WINDOWS) continue
      const found = measured(world, opened, generators)
      all.push(found)
      say(
        `window ${window}: ${short(found.use * 100)} % of the window, ${short(found.useWhileOpen * 100)} % of what it was open, ${found.groups} groups, ${found.late} late`,
      )
      const { title, svg } = pictureOf(world, opened, generators)
      draw(`window-${seconds}s-${generators}`, title, svg)
    }
    memory.stop()
    const memoryTitle = `Memory of a fleet of ${generators} generators, windows of ${seconds} s`
    draw(`memory-${seconds}s-${generators}`, memoryTitle, memory.picture(memoryTitle))
    const id = (name: string) => `use.${seconds}.${generators}.${name}`
    const form = `${generators} × ${seconds} s`
    const percent = (name: string, title: string, of: (one: Measured) => number, goal: boolean) =>
      figure({
        id: id(name),
        title: `${title}, ${form}`,
        unit: '%',
        values: all.map(one => of(one) * 100),
        ...(goal ? { goal: { of: 'value', is: 'at least', limit: USE_GOAL * 100 } } : {}),
      })
    const seconds_ = (name: string, title: string, of: (one: Measured) => number) =>
      figure({ id: id(name), title: `  ${title}, ${form}`, unit: 's', values: all.map(of) })
    const pauses = all.flatMap(one => one.pauses)
    return [
      percent('window', 'window spent generating', one => one.use, seconds === REAL_SECONDS),
      ...(seconds === REAL_SECONDS
        ? []
        : [percent('projected', 'the same pauses in a window of 360 s', one => one.projected, true)]),
      percent('open', 'open time spent generating', one => one.useWhileOpen, false),
      seconds_('start', 'block W to the first group', one => one.start),
      seconds_('unfinished', 'last group to the end of draining', one => one.unfinished),
      seconds_('margin', 'end of draining to block W+30', one => one.margin),
      figure({
        id: id('pause.p50'),
        title: `  pause between groups, p50, ${form}`,
        unit: 'ms',
        values: [percentile(pauses, 50)],
      }),
      figure({
        id: id('pause.p99'),
        title: `  pause between groups, p99, ${form}`,
        unit: 'ms',
        values: [percentile(pauses, 99)],
      }),
      figure({
        id: id('late'),
        title: `groups staged too late, ${form}`,
        unit: '',
        values: all.map(({ late }) => late),
        goal: { of: 'value', is: 'at most', limit: 0 },
      }),
      ...['controller', 'aggregator', 'uploader', 'nats-server'].map((name, i) =>
        figure({
          id: id(`cpu.${name}`),
          title: `  CPU of the ${name} in a window, ${form}`,
          unit: 's',
          values: [cpu[i] as number],
        }),
      ),
      ...pids.map((pid, i) =>
        figure({
          id: id(`memory.${i}`),
          title: `  memory of the ${['controller', 'aggregator', 'uploader'][i]}, ${form}`,
          unit: 'MB',
          values: [memoryOf(pid).peak / MEGA],
        }),
      ),
    ]
  })
}

export const use: Benchmark = {
  name: 'use',
  about: 'how much of a window the GPUs generate, with real processes in real windows',
  async run(circumstances) {
    const daily = await form(circumstances, GENERATORS, SHORT_SECONDS)
    return circumstances.long ? [...daily, ...(await form(circumstances, GENERATORS, REAL_SECONDS))] : daily
  },
}

export const useOfMany: Benchmark = {
  name: 'use-of-many',
  about: `the same with ${MANY_GENERATORS} generators and windows of ${REAL_SECONDS} s (long form)`,
  only: 'long',
  run: circumstances => form(circumstances, MANY_GENERATORS, REAL_SECONDS, `max_groups = ${MANY_GROUPS}`),
}

import { DEADLINE_SLACK_MS, WINDOW_BLOCKS } from '../../src/window/block.js'
import type { World } from '../../test/helpers/world.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { cleanly } from '../measure/bounded.js'
import { cpuSecondsOf, memoryOf } from '../measure/process.js'
import { percentile } from '../measure/statistics.js'
import { type Figure, figure } from '../report/figure.js'
import { short } from '../report/table.js'
import { type Stretch, timeline } from '../report/timeline.js'
import { type Account, accountOf, REAL_SECONDS, SECOND_MS, worksOf } from './account.js'
import { eventOf, GROUPS_PER_WINDOW, generatorName, type Of, paceMsOf, startFleet } from './fleet.js'
import { watchMemory } from './memory.js'

const SHORT_SECONDS = 60
const GENERATORS = 8
const MANY_GENERATORS = 32
/** Groups that a batching server has at once, of the sixteen it may have: a small model fills a card with so many sequences. */
const GROUPS_AT_ONCE = 4
/** More than so many GPUs can make: 5,000 rollouts of a window count, which 32 of them have made after 100 s, and then they would rest. */
const roomFor = (generators: number) => `max_groups = ${2 * generators * GROUPS_PER_WINDOW}`
const USE_GOAL = 0.97
/** The first window has nothing learned of tails and paces yet: it is not counted. */
const WARM_UP_WINDOWS = 1
/** What a window gives depends on where it ends in its GPUs' last groups, ± 0.3 % of 360 s with eight of them: the short form takes several. */
const MEASURED_WINDOWS = { short: 3, real: 1 }
/** More lines than this nobody reads in one picture. */
const MOST_LINES = 32
const MEGA = 1e6

interface Form {
  generators: number
  seconds: number
  /** Groups that each of them has at once. */
  groups?: number
  policy?: string
}

/** What every GPU did when, a line for each group it had at once. */
function pictureOf(
  world: World,
  { window, payload }: Of<'opened'>,
  { generators, groups = 1 }: Form,
): { title: string; svg: string } {
  const at = (ms: number) => (ms - payload.startMs) / SECOND_MS
  const works = worksOf(world, window)
  const rows = Array.from({ length: generators }, (_, gpu) => gpu).flatMap(gpu => {
    const name = generatorName(gpu)
    const lanes = Array.from({ length: groups }, () => ({ busyUntilMs: 0, stretches: [] as Stretch[] }))
    for (const { beganMs, generatedMs, provedMs, stagedMs } of works.filter(({ generator }) => generator === name)) {
      const lane = lanes.find(({ busyUntilMs }) => busyUntilMs <= beganMs) ?? lanes[0]
      if (!lane) continue
      lane.busyUntilMs = provedMs
      lane.stretches.push(
        { from: at(beganMs), to: at(generatedMs), state: 'generate' },
        { from: at(generatedMs), to: at(provedMs), state: 'prove' },
        { from: at(provedMs), to: at(stagedMs), state: 'stage' },
      )
    }
    return lanes.map(({ stretches }, i) => ({ name: i === 0 ? `generator-${gpu}` : '', stretches }))
  })
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
  const each = groups === 1 ? '' : `, each with ${groups} groups at once`
  const title = `A window of ${seconds.toFixed(0)} s on ${generators} generators${each}`
  return { title, svg: timeline({ title, rows, states: ['generate', 'prove', 'stage'], marks, seconds }) }
}

async function measure({ draw, say }: Circumstances, form: Form): Promise<Figure[]> {
  const { generators, seconds, groups = 1, policy = '' } = form
  return cleanly(async bench => {
    const engine = `name = "rehearsal"\npace_ms = ${paceMsOf(seconds)}\nlanes = ${groups}`
    const world = await startFleet(bench, { generators, windowSeconds: seconds, policy, engine })
    const patience = 2 * seconds * SECOND_MS + 60_000
    const first = await eventOf(world, 'opened', () => true, patience)
    const pids = ['controller', 'aggregator', 'uploader'].map(name => world.actor(name).pid)
    const memory = watchMemory(
      ['controller', 'aggregator', 'uploader', 'generator-0'].map(name => [name, world.actor(name).pid]),
    )
    bench.teardown(async () => memory.stop())
    const name = `${seconds}s-${generators}${groups === 1 ? '' : `x${groups}`}`
    const measuredWindows = seconds === REAL_SECONDS ? MEASURED_WINDOWS.real : MEASURED_WINDOWS.short
    const all: Account[] = []
    let cpu: number[] = []
    for (let i = 0; i < WARM_UP_WINDOWS + measuredWindows; i++) {
      const window = first.window + i * WINDOW_BLOCKS
      const opened = await eventOf(world, 'opened', event => event.window === window, patience)
      cpu = [...pids, world.nats.pid].map(cpuSecondsOf)
      await eventOf(world, 'summarised', event => event.window === window, patience)
      cpu = [...pids, world.nats.pid].map((pid, at) => cpuSecondsOf(pid) - (cpu[at] as number))
      if (i < WARM_UP_WINDOWS) continue
      const found = accountOf(world, opened, { generators, groups })
      all.push(found)
      say(
        `window ${window}: ${short(found.use * 100)} % of the window, ${short(found.useWhileOpen * 100)} % of what it was open, ${found.groups} groups, ${found.late} late`,
      )
      if (generators * groups > MOST_LINES) continue
      const { title, svg } = pictureOf(world, opened, form)
      draw(`window-${name}`, title, svg)
    }
    memory.stop()
    const memoryTitle = `Memory of a fleet of ${generators} generators, windows of ${seconds} s`
    if (groups === 1) draw(`memory-${name}`, memoryTitle, memory.picture(memoryTitle))
    return figuresOf(form, {
      accounts: all,
      cpu: ['controller', 'aggregator', 'uploader', 'nats-server'].map((name, i) => [name, cpu[i] as number]),
      memory: ['controller', 'aggregator', 'uploader'].map((name, i) => [
        name,
        memoryOf(pids[i] as number).peak / MEGA,
      ]),
    })
  })
}

/** @param found.cpu seconds by process in the last window; `memory` the peaks, MB */
function figuresOf(
  { generators, seconds, groups = 1 }: Form,
  found: { accounts: Account[]; cpu: [string, number][]; memory: [string, number][] },
): Figure[] {
  const id = (name: string) => `use.${seconds}.${generators}${groups === 1 ? '' : `x${groups}`}.${name}`
  const form = `${generators} × ${seconds} s${groups === 1 ? '' : `, ${groups} groups at once`}`
  const of = (name: string, title: string, unit: string, value: (one: Account) => number): Figure =>
    figure({ id: id(name), title: `  ${title}, ${form}`, unit, values: found.accounts.map(value) })
  const use = (name: string, title: string, value: (one: Account) => number, goal: boolean): Figure =>
    figure({
      id: id(name),
      title: `${title}, ${form}`,
      unit: '%',
      values: found.accounts.map(one => value(one) * 100),
      ...(name === 'window'
        ? {
            baseline: { name: 'the most such groups allow', values: found.accounts.map(({ most }) => most * 100) },
          }
        : {}),
      ...(goal ? { goal: { of: 'value', is: 'at least', limit: USE_GOAL * 100 } } : {}),
    })
  const pauses = found.accounts.flatMap(one => one.pauses)
  const pause = (p: number) => of(`pause.p${p}`, `pause between groups, p${p}`, 'ms', () => percentile(pauses, p))
  const real = seconds === REAL_SECONDS
  return [
    use('window', 'window spent generating', one => one.use, real),
    ...(real ? [] : [use('projected', 'the same pauses in a window of 360 s', one => one.projected, true)]),
    use('open', 'open time spent generating', one => one.useWhileOpen, false),
    ...(groups === 1 ? [] : [of('filled', `of the time of each of ${groups} groups`, '%', one => one.filled * 100)]),
    of('start', 'block W to the first group', 's', one => one.start),
    of('unfinished', 'last group to the end of draining', 's', one => one.unfinished),
    of('margin', 'end of draining to block W+30', 's', one => one.margin),
    of('tail', 'word to seal to the verified object', 's', one => one.tail),
    ...(pauses.length > 0 ? [pause(50), pause(99)] : []),
    figure({
      id: id('late'),
      title: `groups staged too late, ${form}`,
      unit: '',
      values: found.accounts.map(({ late }) => late),
      goal: { of: 'value', is: 'at most', limit: 0 },
    }),
    of('groups', 'groups staged', '', one => one.groups),
    of('undone', 'indices claimed and not made', '', one => one.undone),
    ...found.cpu.map(([name, spent]) => of(`cpu.${name}`, `CPU of the ${name} in a window`, 's', () => spent)),
    ...found.memory.map(([name, peak]) => of(`memory.${name}`, `memory of the ${name}`, 'MB', () => peak)),
  ]
}

export const use: Benchmark = {
  name: 'use',
  about: 'how much of a window the GPUs generate, with real processes in real windows',
  async run(circumstances) {
    const daily = await measure(circumstances, { generators: GENERATORS, seconds: SHORT_SECONDS })
    if (!circumstances.long) return daily
    return [...daily, ...(await measure(circumstances, { generators: GENERATORS, seconds: REAL_SECONDS }))]
  },
}

export const useBatching: Benchmark = {
  name: 'use-batching',
  about: `the same with ${GROUPS_AT_ONCE} groups at once on every GPU, as a batching server has them`,
  async run(circumstances) {
    const form = (generators: number, seconds: number): Form => ({
      generators,
      seconds,
      groups: GROUPS_AT_ONCE,
      policy: roomFor(generators * GROUPS_AT_ONCE),
    })
    if (!circumstances.long) return measure(circumstances, form(GENERATORS, SHORT_SECONDS))
    return [
      ...(await measure(circumstances, form(GENERATORS, REAL_SECONDS))),
      ...(await measure(circumstances, form(MANY_GENERATORS, REAL_SECONDS))),
    ]
  },
}

export const useOfMany: Benchmark = {
  name: 'use-of-many',
  about: `the same with ${MANY_GENERATORS} generators and windows of ${REAL_SECONDS} s (long form)`,
  only: 'long',
  run: circumstances =>
    measure(circumstances, {
      ...{ generators: MANY_GENERATORS, policy: roomFor(MANY_GENERATORS) },
      seconds: REAL_SECONDS,
    }),
}

import { writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureStreams } from '../../actors/ensure.js'
import { followJournal, type JournalEvent } from '../../actors/journal.js'
import { FLEET } from '../../actors/streams.js'
import { connectBroker, presentKeys } from '../../nats/index.js'
import { startDevChain } from '../../src/chain/dev/dev-chain.js'
import { rehearsalCheckpoint } from '../../src/engine/rehearsal/checkpoint.js'
import { bundledTokenizerFolder } from '../../src/environment/tokenizer.js'
import { createRehearsalWallet } from '../../src/wallet/wallet.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { type Actor, FIRST_HOST, startActor } from '../../test/helpers/actor-process.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { startCluster } from '../claims/cluster.js'
import { type Bench, cleanly, until } from '../measure/bounded.js'
import { beside, startChild } from '../measure/child.js'
import { cpuSecondsOf, memoryOf } from '../measure/process.js'
import { percentile } from '../measure/statistics.js'
import { type Figure, figure } from '../report/figure.js'
import { lineChart } from '../report/line-chart.js'
import { short } from '../report/table.js'
import type { GeneratorsTask } from './generators.js'

const SIZES = [8, 64]
const LARGE_SIZES = [256, 1_024]
const PROCESSES = 2
const PACE_MS = 10_000
const BLOCK_MS = 2_000
const WINDOW_MS = BLOCK_MS * WINDOW_BLOCKS
/** More than a fleet makes: 313 groups of a window count, which 256 generators have after 12 s, and then all that rest are heartbeats. */
const ROOM_GROUPS = 2 * Math.max(...LARGE_SIZES) * (WINDOW_MS / PACE_MS)
const MAX_TOKENS = 64
const PAUSE_GOAL_MS = 100
/** CPU per group is flat when it is at most this many times what it is in the next smaller fleet. */
const FLAT = 1.1
const ROLES = ['controller', 'aggregator', 'uploader']
const MEGA = 1e6

/** Who is there is looked at this often, ms. */
const LOOK_MS = 500

interface Fleet {
  servers: string[]
  natsPids: number[]
  actors: Actor[]
  checkpoint: GeneratorsTask['checkpoint']
  events: JournalEvent[]
  /** How many generators are there. */
  present(): Promise<number>
}

/** Three servers, one of each role, no generators yet. */
async function startFleet(bench: Bench): Promise<Fleet> {
  const folder = await mkdtemp(join(tmpdir(), 'grail-growth-'))
  bench.teardown(() => rm(folder, { recursive: true, force: true }))
  const cluster = await startCluster(bench)
  const servers = cluster.map(({ url }) => url)
  const { ss58 } = await createRehearsalWallet(join(folder, 'wallets'))
  const checkpoint = await rehearsalCheckpoint({
    folder: join(folder, 'checkpoint'),
    tokenizerFolder: bundledTokenizerFolder(),
    environment: 'sat',
    generation: { maxTokens: MAX_TOKENS, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 },
    thinkingMode: 'instructed',
  })
  await mkdir(join(folder, 'bucket'))
  const chain = await startDevChain({ blockMs: BLOCK_MS, startBlock: 2_997, register: [ss58], seed: folder })
  bench.teardown(() => chain.close())
  const config = join(folder, 'grail.toml')
  writeFileSync(
    config,
    `[fleet]
state = "."
[nats]
servers = ${JSON.stringify(servers)}
replicas = ${servers.length}
[chain]
endpoints = ["${chain.url}"]
drand = []
[wallet]
path = "wallets"
cold = "rehearsal"
[bucket]
kind = "dir"
folder = "bucket"
rehearsal = true
[checkpoint]
folder = "checkpoint"
[engine]
name = "rehearsal"
[policy]
max_groups = ${ROOM_GROUPS}
[[hosts]]
name = "${FIRST_HOST}"
roles = ${JSON.stringify(ROLES)}
`,
  )
  const end = new AbortController()
  const { signal } = end
  const broker = await until('the cluster has a leader', async () => {
    const broker = await connectBroker({ servers, name: 'bench', signal })
    try {
      await ensureStreams(broker, { replicas: servers.length, presenceMs: 4_000, leaseMs: 4_000, signal })
      return broker
    } catch {
      await broker.drain()
      return undefined
    }
  })
  const events: JournalEvent[] = []
  const journal = followJournal(broker, 'all', {
    signal,
    onBroken: () => {},
    onEvent: event => void events.push(event),
  })
  const actors = ROLES.map(name =>
    startActor({ name, config, env: {}, onCrash: ({ lastLines }) => console.error(name, lastLines) }),
  )
  bench.teardown(async () => {
    await Promise.all(actors.map(actor => actor.stop()))
    end.abort()
    await journal.done.catch(() => {})
    await broker.drain()
  })
  return {
    ...{ servers, natsPids: cluster.map(({ pid }) => pid), actors, checkpoint, events },
    present: async () =>
      (await presentKeys(broker, FLEET, { signal })).filter(key => key.startsWith('generator-')).length,
  }
}

interface Measured {
  groups: number
  /** CPU per group, ms. */
  generators: number
  servers: number
  roles: number
  pauseP99: number
  controllerBytes: number
  state: string
}

/** One whole window with so many generators; the one it begins in is not counted. */
async function once(fleet: Fleet, count: number): Promise<Measured> {
  const { events } = fleet
  const newest = () => events.findLast(event => event.kind === 'opened')?.window ?? 0
  const children = await Promise.all(
    Array.from({ length: PROCESSES }, (_, i) => {
      const from = Math.floor((count * i) / PROCESSES)
      const to = Math.floor((count * (i + 1)) / PROCESSES)
      return startChild<GeneratorsTask, { ended: number }>(beside(import.meta.url, 'generators'), {
        ...{ servers: fleet.servers, checkpoint: fleet.checkpoint, from, count: to - from },
        ...{ paceMs: PACE_MS, forMs: 10 * WINDOW_MS },
      })
    }),
  )
  for (const child of children) child.go().catch(() => {})
  try {
    const patience = { withinMs: 4 * WINDOW_MS }
    // Hundreds of generators on two cores take a while to be there: a window they come into late tells nothing.
    await until('all generators are present', async () => (await fleet.present()) >= count, {
      ...patience,
      everyMs: LOOK_MS,
    })
    const begun = newest()
    const window = await until('the next window', () => newest() > begun && newest(), patience)
    const pids = { children: children.map(({ pid }) => pid), roles: fleet.actors.map(({ pid }) => pid) }
    const cpu = (of: readonly number[]) => of.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
    const all = () => [cpu(pids.children), cpu(fleet.natsPids), cpu(pids.roles)] as const
    const before = all()
    const over = await until(
      'its summary',
      () => events.find(event => event.kind === 'summarised' && event.window === window),
      patience,
    )
    const used = all().map((seconds, i) => seconds - (before[i] as number))
    const staged = events.flatMap(event => (event.kind === 'staged' && event.window === window ? [event] : []))
    const groups = staged.length
    const [generators = 0, servers = 0, roles = 0] = used.map(seconds => (seconds / groups) * 1_000)
    return {
      ...{ groups, generators, servers, roles },
      pauseP99: percentile(pausesOf(staged), 99),
      controllerBytes: memoryOf(fleet.actors[0]?.pid as number).now,
      state: over.kind === 'summarised' ? over.payload.state : '',
    }
  } finally {
    for (const child of children) child.kill()
  }
}

/** From a generator's last proof to the beginning of its next group, ms: staging beside it, claim, prompt. */
function pausesOf(staged: readonly Extract<JournalEvent, { kind: 'staged' }>[]): number[] {
  const last = new Map<string, number>()
  const pauses: number[] = []
  for (const { timeMs, payload } of staged) {
    const { prove, reward, stage, generate } = payload.seconds
    const provedMs = timeMs - (reward + stage) * 1_000
    const before = last.get(payload.generator)
    if (before !== undefined) pauses.push(provedMs - (generate + prove) * 1_000 - before)
    last.set(payload.generator, provedMs)
  }
  return pauses
}

async function measure({ long, draw, say }: Circumstances): Promise<Figure[]> {
  return cleanly(async bench => {
    const fleet = await startFleet(bench)
    const sizes = long ? [...SIZES, ...LARGE_SIZES] : SIZES
    const all: [number, Measured][] = []
    for (const size of sizes) {
      const measured = await once(fleet, size)
      all.push([size, measured])
      const { groups, generators, servers, roles, pauseP99, state } = measured
      say(
        `${size} generators: ${groups} groups, ${state}; CPU per group ${short(generators)} + ${short(servers)} + ${short(roles)} ms; pause p99 ${short(pauseP99)} ms`,
      )
    }
    const line = (what: 'generators' | 'servers' | 'roles', name: string) => ({
      name,
      points: all.map(([size, measured]): [number, number] => [size, measured[what]]),
    })
    const title = 'CPU for a group, generators with a group in 10 s each, three servers'
    draw(
      long ? 'growth-long' : 'growth',
      title,
      lineChart({
        title,
        x: { label: 'generators', log: true, ticks: sizes },
        y: { label: 'ms' },
        series: [line('generators', 'generators'), line('servers', 'nats-servers'), line('roles', 'the other actors')],
      }),
    )
    const whole = ({ generators, servers, roles }: Measured) => generators + servers + roles
    return all.flatMap(([size, measured], i) => {
      const smaller = all[i - 1]
      const one = (name: string, title: string, unit: string, value: number, goal?: number) =>
        figure({
          id: `growth.${size}.${name}`,
          title: `${title}, ${size} generators`,
          unit,
          values: [value],
          ...(goal === undefined ? {} : { goal: { of: 'value', is: 'at most', limit: goal } }),
        })
      return [
        one('groups', 'groups in a window of 60 s', '', measured.groups),
        figure({
          id: `growth.${size}.cpu`,
          title: `CPU per group, everything, ${size} generators`,
          unit: 'ms',
          values: [whole(measured)],
          ...(smaller
            ? {
                baseline: { name: `with ${smaller[0]}`, values: [whole(smaller[1])] },
                goal: { of: 'ratio', is: 'at most', limit: FLAT },
              }
            : {}),
        }),
        one('cpu.generators', '  of it generators', 'ms', measured.generators),
        one('cpu.servers', '  of it three nats-servers', 'ms', measured.servers),
        one('cpu.roles', '  of it controller, aggregator, uploader', 'ms', measured.roles),
        one('pause', 'pause between groups, claim included, p99', 'ms', measured.pauseP99, PAUSE_GOAL_MS),
        one('controller', 'memory of the controller', 'MB', measured.controllerBytes / MEGA),
      ]
    })
  })
}

export const growth: Benchmark = {
  name: 'growth',
  about: '8 and 64 generators (256 and 1,024 in the long form) on a cluster of three servers',
  run: measure,
}

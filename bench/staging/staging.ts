import { ensureStreams } from '../../actors/ensure.js'
import { ROLLOUTS } from '../../actors/streams.js'
import { connectBroker, openStore } from '../../nats/index.js'
import { encodeGroup } from '../../src/window/blob.js'
import { GROUP_SIZE } from '../../src/window/group.js'
import { startNats } from '../../test/helpers/nats-server.js'
import { groupJson, groupMaker, sampleOrigin } from '../aggregation/window.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { cleanly } from '../measure/bounded.js'
import { beside, startChild } from '../measure/child.js'
import { cpuSecondsOf, memoryOf } from '../measure/process.js'
import { startRedis } from '../redis/server.js'
import { type Figure, figure } from '../report/figure.js'
import { short } from '../report/table.js'
import type { StagerResult } from './stager.js'
import type { TakerResult, TakerTask } from './taker.js'
import type { StagerTask } from './task.js'

const ROLLOUTS_STAGED = 12_800
const WORKERS = 32
/** Processes the workers are spread over. */
const PROCESSES = 4
/** Completion tokens of a rollout. */
const TOKENS = [600, 1_200]
/** What 32 GPUs with a group in 10 s each need, groups per second. */
const NEEDED_PER_S = 3.2
const GOAL_TIMES = 5
/** The paced run takes this long, s. */
const PACED_S = 8
/** The taker has the last blob within this after the last put of the paced run, ms: a hundredth of a group's time. */
const BEHIND_GOAL_MS = 100
const WINDOW = 7_654_320
/** //Alice, a key everybody knows. */
const HOTKEY = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const KILO = 1e3
const MEGA = 1e6

interface Measured {
  /** From the first put to the last checked group, s. */
  seconds: number
  perSecond: number
  /** From the last acknowledged put to the last checked group, ms. */
  behindMs: number
  serverCpu: number
  serverPeak: number
  takerCpu: number
  stagerCpu: number
  takerPeak: number
  bytes: number
  /** As the server keeps them. */
  kept: number
}

/** @param perSecond groups of all workers together; Infinity: as fast as they can */
async function once(way: 'nats' | 'redis', bytes: number, perSecond = Number.POSITIVE_INFINITY): Promise<Measured> {
  return cleanly(async bench => {
    const server = way === 'nats' ? await startNats(bench) : undefined
    const redis = way === 'redis' ? await startRedis(bench) : undefined
    const pid = (server ?? redis)?.pid as number
    const signal = new AbortController().signal
    const broker = server ? await connectBroker({ servers: [server.url], name: 'bench', signal }) : undefined
    if (broker) await ensureStreams(broker, { replicas: 1, presenceMs: 4_000, leaseMs: 4_000, signal })
    const paceMs = (WORKERS / perSecond) * 1_000
    const perWorker = paceMs > 0 ? Math.floor((PACED_S * 1_000) / paceMs) : ROLLOUTS_STAGED / GROUP_SIZE / WORKERS
    const groups = perWorker * WORKERS
    const common = { way, server: server?.url ?? '', port: redis?.port ?? 0, window: WINDOW, bytes, paceMs }
    const taker = await startChild<TakerTask, TakerResult>(beside(import.meta.url, 'taker'), { ...common, groups })
    const perProcess = WORKERS / PROCESSES
    const stagers = await Promise.all(
      Array.from({ length: PROCESSES }, (_, process) =>
        startChild<StagerTask, StagerResult>(beside(import.meta.url, 'stager'), {
          ...common,
          workers: Array.from({ length: perProcess }, (_, worker) =>
            Array.from({ length: perWorker }, (_, i) => i * WORKERS + process * perProcess + worker),
          ),
        }),
      ),
    )
    const before = cpuSecondsOf(pid)
    const taking = taker.go()
    const staged = await Promise.all(stagers.map(stager => stager.go()))
    const taken = await taking
    const beganMs = Math.min(...staged.map(({ beganMs }) => beganMs))
    const endedMs = Math.max(...staged.map(({ endedMs }) => endedMs))
    const seconds = (taken.endedMs - beganMs) / 1_000
    const kept = broker ? await openStore(broker, ROLLOUTS).bytes({ signal }) : taken.bytes
    await broker?.drain()
    return {
      seconds,
      perSecond: groups / seconds,
      behindMs: taken.endedMs - endedMs,
      serverCpu: cpuSecondsOf(pid) - before,
      serverPeak: memoryOf(pid).peak,
      takerCpu: taken.cpuSeconds,
      stagerCpu: staged.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
      takerPeak: taken.peakBytes,
      bytes: taken.bytes,
      kept,
    }
  })
}

async function measure({ repetitions, say }: Circumstances): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const tokens of TOKENS) {
    const group = groupMaker(sampleOrigin(HOTKEY), tokens)(0)
    const bytes = encodeGroup(group).length
    const jsonBytes = groupJson(group).length
    const ours: Measured[] = []
    const theirs: Measured[] = []
    for (let repetition = 0; repetition < repetitions; repetition++) {
      ours.push(await once('nats', bytes))
      theirs.push(await once('redis', bytes))
      say(`${tokens} tokens: ${short(ours.at(-1)?.seconds ?? 0)} s, Redis ${short(theirs.at(-1)?.seconds ?? 0)} s`)
    }
    const paced: Measured[] = []
    for (let repetition = 0; repetition < repetitions; repetition++)
      paced.push(await once('nats', bytes, GOAL_TIMES * NEEDED_PER_S))
    const line = (what: keyof Measured, title: string, unit: string, by = 1) =>
      figure({
        id: `staging.${tokens}.${what}`,
        title: `${title}, ${tokens} tokens`,
        unit,
        values: ours.map(measured => measured[what] / by),
        baseline: { name: 'Redis', values: theirs.map(measured => measured[what] / by) },
      })
    figures.push(
      figure({
        id: `staging.${tokens}.rate`,
        title: `groups staged and taken, ${tokens} tokens`,
        unit: '/s',
        values: ours.map(({ perSecond }) => perSecond),
        baseline: { name: '32 GPUs need', values: ours.map(() => NEEDED_PER_S) },
        goal: { of: 'ratio', is: 'at least', limit: GOAL_TIMES },
      }),
      line('seconds', `${ROLLOUTS_STAGED} rollouts, to the last blob`, 's'),
      line('serverCpu', 'server CPU', 's'),
      line('stagerCpu', 'CPU of 32 workers', 's'),
      line('takerCpu', 'CPU of the taker', 's'),
      figure({
        id: `staging.${tokens}.flood`,
        title: `last blob behind the last put, flat out, ${tokens} tokens`,
        unit: 'ms',
        values: ours.map(({ behindMs }) => behindMs),
      }),
      figure({
        id: `staging.${tokens}.behind`,
        title: `last blob behind the last put, at ${GOAL_TIMES} × that rate, ${tokens} tokens`,
        unit: 'ms',
        values: paced.map(({ behindMs }) => behindMs),
        goal: { of: 'value', is: 'at most', limit: BEHIND_GOAL_MS },
      }),
      line('bytes', 'payload', 'MB', MEGA),
      figure({
        id: `staging.${tokens}.json`,
        title: `bytes of a staged group, ${tokens} tokens`,
        unit: 'KB',
        values: [bytes / KILO],
        baseline: { name: 'as JSON', values: [jsonBytes / KILO] },
      }),
      line('kept', 'bytes kept by the server', 'MB', MEGA),
      line('serverPeak', 'server memory, peak', 'MB', MEGA),
      line('takerPeak', 'taker memory, peak', 'MB', MEGA),
    )
  }
  return figures
}

export const staging: Benchmark = {
  name: 'staging',
  about: '12,800 rollouts from 32 workers to one taker, against Redis',
  run: measure,
}

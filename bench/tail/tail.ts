import { createHash } from 'node:crypto'
import { entered, hashFinal, type Opened, opened, type WindowState } from '../../actors/controller/messages.js'
import { staged, stagedObject } from '../../actors/generator/messages.js'
import type { JournalEvent } from '../../actors/journal.js'
import { ROLLOUTS } from '../../actors/streams.js'
import { announce, openStore } from '../../nats/index.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { digestOf, encodeGroup } from '../../src/window/blob.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { timersOf } from '../../src/window/deadline.js'
import { startS3 } from '../../test/helpers/s3-server.js'
import { worldOnS3 } from '../../test/helpers/s3-world.js'
import { startWorld, type World } from '../../test/helpers/world.js'
import { groupMaker } from '../aggregation/window.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { cleanly, until } from '../measure/bounded.js'
import { cpuSecondsOf, memoryOf } from '../measure/process.js'
import { type Figure, figure } from '../report/figure.js'
import { short } from '../report/table.js'
import { startLink } from './link.js'

/** 5,008 rollouts: whole groups. */
const GROUPS = 313
const TOKENS = 1_200
const RTT_MS = 20
const LINK_BYTES_PER_S = 100e6
const GOAL_S = 1.5
/** No window of this benchmark comes to its deadline, ms. */
const WINDOW_MS = 300_000
/** An actor that has used less than `IDLE_CPU_S` of CPU in `IDLE_MS` has caught up. */
const IDLE_MS = 1_500
const IDLE_CPU_S = 0.06
const FIRST_WINDOW = 3_000
const MEGA = 1e6

type Of<K extends JournalEvent['kind']> = Extract<JournalEvent, { kind: K }>

interface Measured {
  tail: number
  /** From the last staged group to the seal, from there to the completed object, and to its verification, s. */
  seal: number
  complete: number
  verify: number
  aggregatorCpu: number
  uploaderCpu: number
  aggregatorPeak: number
  uploaderPeak: number
  bytes: number
}

/** This benchmark is the controller and all generators of one window; aggregator and uploader are the real ones. */
async function once(world: World, window: number): Promise<Measured> {
  const { broker } = world
  const signal = new AbortController().signal
  const holes = { window, epoch: 1 }
  const hash = `0x${createHash('sha256').update(`block ${window}`).digest('hex')}`
  const now = Date.now()
  const payload: Opened = {
    profile: GRAIL_V5.id,
    hotkey: world.hotkey,
    hash,
    randomness: createHash('sha256').update(`randomness of ${window}`).digest('hex'),
    block: window,
    startMs: now,
    checkpoint: { window: 0, modelName: 'rehearsal', weightsHash: '', environment: 'sat' },
    timers: timersOf(now + WINDOW_MS, 0, 0),
    maxGroups: GROUPS,
  }
  const enter = (state: WindowState) =>
    announce(broker, entered, holes, { state, atMs: Date.now(), why: 'the benchmark says so' }, { signal })
  const makeGroup = groupMaker(
    {
      ...{ hotkey: world.hotkey, window, epoch: 1, windowHash: hash, randomness: payload.randomness },
      ...{ checkpointWindow: 0, modelName: 'rehearsal', weightsHash: '', environment: 'sat', engine: 'rehearsal' },
    },
    TOKENS,
  )
  const store = openStore(broker, ROLLOUTS)
  const stage = async (index: number) => {
    const blob = encodeGroup(makeGroup(index))
    const digest = digestOf(blob)
    const object = stagedObject(window, 1, index, digest)
    await store.put(object, blob, { signal })
    const said = {
      ...{ object, digest, bytes: blob.length, rollouts: 16, generator: 'generator-bench', boot: '' },
      ...{ checkpointWindow: 0, seconds: { prompt: 0, generate: 0, prove: 0, reward: 0, stage: 0 } },
    }
    await announce(broker, staged, { ...holes, index }, said, { signal })
  }
  const pids = { aggregator: world.actor('aggregator').pid, uploader: world.actor('uploader').pid }
  const cpu = () => ({ aggregator: cpuSecondsOf(pids.aggregator), uploader: cpuSecondsOf(pids.uploader) })

  const before = cpu()
  await announce(broker, opened, holes, payload, { signal })
  await announce(broker, hashFinal, holes, { hash }, { signal })
  for (let index = 0; index < GROUPS - 1; index++) await stage(index)
  // In a real window the file has kept pace with the GPUs; here it is given the time to.
  await until(
    'aggregator and uploader have caught up',
    async () => {
      const then = cpu()
      await new Promise(resolve => setTimeout(resolve, IDLE_MS))
      const now = cpu()
      return now.aggregator - then.aggregator < IDLE_CPU_S && now.uploader - then.uploader < IDLE_CPU_S
    },
    { withinMs: WINDOW_MS },
  )
  await stage(GROUPS - 1)
  await enter('sealing')
  const event = async <K extends JournalEvent['kind']>(kind: K): Promise<Of<K>> =>
    (await world.event(kind, found => found.window === window)) as Of<K>
  const uploaded = await event('uploaded')
  const sealed = await event('sealed')
  const completed = await event('completed')
  const last = (await world.event(
    'staged',
    found => found.window === window && found.index === GROUPS - 1,
  )) as Of<'staged'>
  if (sealed.payload.groups !== GROUPS)
    throw new Error(`${sealed.payload.groups} groups of ${GROUPS} are in the file of window ${window}`)
  await enter('done')
  const after = cpu()
  return {
    tail: (uploaded.timeMs - last.timeMs) / 1_000,
    seal: (sealed.timeMs - last.timeMs) / 1_000,
    complete: (completed.timeMs - sealed.timeMs) / 1_000,
    verify: (uploaded.timeMs - completed.timeMs) / 1_000,
    aggregatorCpu: after.aggregator - before.aggregator,
    uploaderCpu: after.uploader - before.uploader,
    aggregatorPeak: memoryOf(pids.aggregator).peak,
    uploaderPeak: memoryOf(pids.uploader).peak,
    bytes: uploaded.payload.bytes,
  }
}

async function measure({ repetitions, say }: Circumstances): Promise<Figure[]> {
  return cleanly(async bench => {
    const s3 = await startS3()
    bench.teardown(() => s3.stop())
    const link = await startLink(Number(new URL(s3.endpoint).port), RTT_MS, LINK_BYTES_PER_S)
    bench.teardown(() => link.close())
    const world = await startWorld(bench, {
      actors: ['aggregator', 'uploader'],
      blockMs: WINDOW_MS,
      ...worldOnS3(s3, { endpoint: `http://127.0.0.1:${link.port}` }),
    })
    const measured: Measured[] = []
    for (let repetition = 0; repetition < repetitions; repetition++) {
      measured.push(await once(world, FIRST_WINDOW + repetition * WINDOW_BLOCKS))
      const { tail, seal, complete, verify } = measured.at(-1) as Measured
      say(`${short(tail)} s: ${short(seal)} to the seal, ${short(complete)} to Complete, ${short(verify)} to HEAD`)
    }
    const rows = GROUPS * GRAIL_V5.groupSize
    const values = (of: (measured: Measured) => number) => measured.map(of)
    return [
      figure({
        id: 'tail.seconds',
        title: `last staged group to verified object, ${rows} rollouts`,
        unit: 's',
        values: values(({ tail }) => tail),
        goal: { of: 'value', is: 'at most', limit: GOAL_S },
      }),
      figure({ id: 'tail.seal', title: '  to the seal', unit: 's', values: values(({ seal }) => seal) }),
      figure({ id: 'tail.complete', title: '  to Complete', unit: 's', values: values(({ complete }) => complete) }),
      figure({ id: 'tail.verify', title: '  to HEAD', unit: 's', values: values(({ verify }) => verify) }),
      figure({
        id: 'tail.cpu.aggregator',
        title: 'aggregator process, CPU per rollout, broker included',
        unit: 'ms',
        values: values(({ aggregatorCpu }) => (aggregatorCpu / rows) * 1_000),
      }),
      figure({
        id: 'tail.cpu.uploader',
        title: 'uploader process, CPU per rollout',
        unit: 'ms',
        values: values(({ uploaderCpu }) => (uploaderCpu / rows) * 1_000),
      }),
      figure({
        id: 'tail.memory.aggregator',
        title: 'aggregator process, peak memory',
        unit: 'MB',
        values: values(({ aggregatorPeak }) => aggregatorPeak / MEGA),
      }),
      figure({
        id: 'tail.memory.uploader',
        title: 'uploader process, peak memory',
        unit: 'MB',
        values: values(({ uploaderPeak }) => uploaderPeak / MEGA),
      }),
      figure({ id: 'tail.bytes', title: 'object', unit: 'MB', values: values(({ bytes }) => bytes / MEGA) }),
    ]
  })
}

export const tail: Benchmark = {
  name: 'tail',
  about: `what is left when the last group is staged: ${RTT_MS} ms and ${LINK_BYTES_PER_S / MEGA} MB/s to the bucket`,
  run: measure,
}

import { systemClock } from '../../actors/actor.js'
import type { Desk } from '../../actors/generator/desk.js'
import { claimingAhead } from '../../actors/generator/next-index.js'
import { taking } from '../../actors/generator/take.js'
import type { OpenWindow } from '../../actors/windows.js'
import { type Broker, claim, connectBroker } from '../../nats/index.js'
import { claimsOf, encodeClaim } from '../../src/window/claim.js'
import { serve } from '../measure/child.js'
import { cpuSecondsSince } from '../measure/process.js'
import { connectRedis, type Redis } from '../redis/resp.js'

// Some of the claimers, each with a connection of its own, as generators have one.

/**
 * A claim alone; all a generator does to get its next index, the reissue queue first; the same half way through the group before,
 * as generators do; the Redis queue in three or four commands.
 */
export type Way = 'claim' | 'take' | 'ahead' | 'redis-3' | 'redis-4'

export interface ClaimerTask {
  way: Way
  /** Address of nats-server, port of Redis. */
  servers: string[]
  port: number
  /** Names the claims' bucket. */
  window: number
  /** First of these claimers' numbers, and how many. */
  from: number
  claimers: number
  /** How long they claim one after the other, ms. */
  forMs: number
  /** Pause between two claims of one claimer, ms; 0: as fast as it gets them. */
  paceMs: number
}

export interface ClaimerResult {
  /** Of each claim, ms. */
  waits: Float64Array
  indices: Int32Array
  cpuSeconds: number
}

/** Claims of each process before it is measured: by then all code is compiled, however busy the machine. */
const WARM_UP_CLAIMS = 2_000
/** A lease of the Redis queue lives this long, s. */
const LEASE_S = 300
/** The window that is claimed from ends after this, ms. */
const WINDOW_MS = 360_000

serve(async (task: ClaimerTask) => {
  const boot = process.pid.toString(16)
  const take = await Promise.all(
    Array.from({ length: task.claimers }, (_, i) => {
      const instance = `generator-bench-${task.from + i}`
      return task.way.startsWith('redis') ? redisClaimer(task, instance, boot) : natsClaimer(task, instance, boot)
    }),
  )
  const indices: number[] = []
  const warmUp = Math.ceil(WARM_UP_CLAIMS / take.length)
  await Promise.all(
    take.map(async ({ next }) => {
      for (let i = 0; i < warmUp; i++) indices.push(await next())
    }),
  )
  return async (): Promise<ClaimerResult> => {
    const waits: number[] = []
    const began = process.cpuUsage()
    const end = performance.now() + task.forMs
    const one = async (next: () => Promise<number>, at: number) => {
      if (task.paceMs > 0) await pause((task.paceMs * at) / take.length)
      while (performance.now() < end) {
        const asked = performance.now()
        indices.push(await next())
        waits.push(performance.now() - asked)
        if (task.paceMs > 0) await pause(task.paceMs)
      }
    }
    await Promise.all(take.map(({ next }, at) => one(next, at)))
    const cpuSeconds = cpuSecondsSince(began)
    await Promise.all(take.map(async ({ last }) => last && indices.push(await last())))
    await Promise.all(take.map(({ close }) => close()))
    return { waits: Float64Array.from(waits), indices: Int32Array.from(indices), cpuSeconds }
  }
})

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

interface Claimer {
  next(): Promise<number>
  /** Takes what lies ready, if claims are made ahead. */
  last?(): Promise<number>
  close(): Promise<void>
}

const CHECKPOINT_WINDOW = 7_654_260

async function natsClaimer(task: ClaimerTask, instance: string, boot: string): Promise<Claimer> {
  const signal = new AbortController().signal
  const broker = await connectBroker({ servers: task.servers, name: instance, signal })
  const close = () => broker.drain()
  if (task.way === 'claim') return { next: claimOf(broker, task, instance, boot, signal), close }
  return { ...takeOf(broker, task, instance, boot, signal), close }
}

/** What of a claim is the broker's. */
function claimOf(broker: Broker, task: ClaimerTask, generator: string, boot: string, signal: AbortSignal) {
  let claims = 0
  return async () => {
    const key = `${generator}.${boot}.${task.window}.1.0.${claims++}`
    const value = encodeClaim({ generator, boot, checkpointWindow: CHECKPOINT_WINDOW, atMs: Date.now() })
    const { index } = await claim(broker, claimsOf(task.window, 1), key, value, { id: key, signal })
    return index
  }
}

/** The generator's own way to its next index. */
function takeOf(broker: Broker, task: ClaimerTask, instance: string, boot: string, signal: AbortSignal) {
  const silent = () => {}
  const log = { debug: silent, info: silent, warn: silent, error: silent }
  const desk = {
    parts: { broker, clock: systemClock, instance, boot, log },
    inFlight: { begin: silent, end: silent, newest: () => undefined },
    pace: { groupMs: () => task.paceMs, luckyMs: () => task.paceMs },
    signal,
  } as unknown as Desk
  const window = {
    ...{ window: task.window, epoch: 1, state: 'generating', worthless: signal },
    opened: { checkpoint: { window: CHECKPOINT_WINDOW } },
    timers: { drainEndMs: Date.now() + WINDOW_MS },
  } as unknown as OpenWindow
  const take = taking(desk, 0)
  const indices = claimingAhead(desk, take)
  const found = (index: number | undefined) => {
    if (index === undefined) throw new Error('there was nothing to take')
    return index
  }
  if (task.way === 'take') return { next: async () => found(await take.now(window)) }
  return {
    async next() {
      const index = found(await indices.next(window))
      indices.ahead(window)
      return index
    },
    last: async () => found(await indices.next(window)),
  }
}

/** As the Redis queue of the GRAIL guide does it: a recycled index if there is one, else the counter; then a lease. */
async function redisClaimer(task: ClaimerTask, instance: string, boot: string): Promise<Claimer> {
  const redis: Redis = await connectRedis(task.port)
  const name = `bench:${task.window}`
  const counter = `${name}:counter`
  return {
    async next() {
      const recycled = await redis.command('LPOP', `${name}:recycle`)
      let index: number
      if (recycled === null) {
        index = Number(await redis.command('INCR', counter)) - 1
        if (task.way === 'redis-4') await redis.command('EXPIRE', counter, LEASE_S)
      } else index = Number(recycled)
      const lease = JSON.stringify({ worker: instance, boot, at: Date.now() })
      await redis.command('SETEX', `${name}:lease:${index}`, LEASE_S, lease)
      return index
    },
    close: async () => redis.close(),
  }
}

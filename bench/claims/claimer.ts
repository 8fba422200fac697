import { claim, connectBroker } from '../../nats/index.js'
import { encodeClaim } from '../../src/window/claim.js'
import { serve } from '../measure/child.js'
import { connectRedis, type Redis } from '../redis/resp.js'

// Some of the claimers, each with a connection of its own, as generators have one.

export type Way = 'nats' | 'redis-3' | 'redis-4'

export interface ClaimerTask {
  way: Way
  /** Address of nats-server, port of Redis. */
  servers: string[]
  port: number
  bucket: string
  /** First of these claimers' numbers, and how many. */
  from: number
  claimers: number
  /** How long they claim one after the other, ms. */
  forMs: number
  /** Pause between two claims of one claimer, ms; 0: as fast as it gets them. Paced, the first of each is not counted: it loads the code. */
  paceMs: number
}

export interface ClaimerResult {
  /** Of each claim, ms. */
  waits: Float64Array
  indices: Int32Array
  cpuSeconds: number
}

/** A lease of the Redis queue lives this long, s. */
const LEASE_S = 300

serve(async (task: ClaimerTask) => {
  const boot = process.pid.toString(16)
  const take = await Promise.all(
    Array.from({ length: task.claimers }, (_, i) => {
      const instance = `generator-bench-${task.from + i}`
      return task.way === 'nats' ? natsClaimer(task, instance, boot) : redisClaimer(task, instance, boot)
    }),
  )
  return async (): Promise<ClaimerResult> => {
    const waits: number[] = []
    const indices: number[] = []
    const began = process.cpuUsage()
    const end = performance.now() + task.forMs
    const one = async (next: () => Promise<number>, at: number) => {
      if (task.paceMs > 0) await pause((task.paceMs * at) / take.length)
      for (let first = true; performance.now() < end; first = false) {
        const asked = performance.now()
        indices.push(await next())
        if (!first || task.paceMs === 0) waits.push(performance.now() - asked)
        if (task.paceMs > 0) await pause(task.paceMs)
      }
    }
    await Promise.all(take.map(({ next }, at) => one(next, at)))
    const { user, system } = process.cpuUsage(began)
    await Promise.all(take.map(({ close }) => close()))
    return { waits: Float64Array.from(waits), indices: Int32Array.from(indices), cpuSeconds: (user + system) / 1e6 }
  }
})

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

interface Claimer {
  next(): Promise<number>
  close(): Promise<void>
}

/** As actors/generator does it. */
async function natsClaimer(task: ClaimerTask, instance: string, boot: string): Promise<Claimer> {
  const signal = new AbortController().signal
  const broker = await connectBroker({ servers: task.servers, name: instance, signal })
  let claims = 0
  return {
    async next() {
      const key = `${instance}.${boot}.${claims++}`
      const value = encodeClaim({ generator: instance, boot, checkpointWindow: 7_654_260, atMs: Date.now() })
      const { index } = await claim(broker, task.bucket, key, value, { id: key, signal })
      return index
    },
    close: () => broker.drain(),
  }
}

/** As the Redis queue of the GRAIL guide does it: a recycled index if there is one, else the counter; then a lease. */
async function redisClaimer(task: ClaimerTask, instance: string, boot: string): Promise<Claimer> {
  const redis: Redis = await connectRedis(task.port)
  const counter = `${task.bucket}:counter`
  return {
    async next() {
      const recycled = await redis.command('LPOP', `${task.bucket}:recycle`)
      let index: number
      if (recycled === null) {
        index = Number(await redis.command('INCR', counter)) - 1
        if (task.way === 'redis-4') await redis.command('EXPIRE', counter, LEASE_S)
      } else index = Number(recycled)
      const lease = JSON.stringify({ worker: instance, boot, at: Date.now() })
      await redis.command('SETEX', `${task.bucket}:lease:${index}`, LEASE_S, lease)
      return index
    },
    close: async () => redis.close(),
  }
}

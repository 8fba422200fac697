import { randomFillSync } from 'node:crypto'
import { staged, stagedObject } from '../../actors/generator/messages.js'
import { ROLLOUTS } from '../../actors/streams.js'
import { announce, connectBroker, openStore } from '../../nats/index.js'
import { digestOf } from '../../src/window/blob.js'
import { serve } from '../measure/child.js'
import { cpuSecondsSince } from '../measure/process.js'
import { connectRedis } from '../redis/resp.js'
import { REDIS_QUEUE, type StagerTask } from './task.js'

// Some of the workers that stage groups, each with a connection of its own, one group after the other.

/** Unix ms, with fractions: when the first put began and the last one was acknowledged. */
export interface StagerResult {
  beganMs: number
  endedMs: number
  cpuSeconds: number
}

serve(async (task: StagerTask) => {
  const workers = await Promise.all(
    task.workers.map(async (indices, i) => {
      const blobs = indices.map(() => randomFillSync(new Uint8Array(task.bytes)))
      const stage = task.way === 'nats' ? await natsStage(task, `stager-${process.pid}-${i}`) : await redisStage(task)
      return { indices, blobs, ...stage }
    }),
  )
  return async (): Promise<StagerResult> => {
    const began = process.cpuUsage()
    const beganMs = performance.timeOrigin + performance.now()
    await Promise.all(
      workers.map(async ({ indices, blobs, put }, worker) => {
        for (const [i, index] of indices.entries()) {
          if (task.paceMs > 0) await until(beganMs + task.paceMs * (i + worker / workers.length))
          await put(index, blobs[i] as Uint8Array)
        }
      }),
    )
    const endedMs = performance.timeOrigin + performance.now()
    const cpuSeconds = cpuSecondsSince(began)
    await Promise.all(workers.map(({ close }) => close()))
    return { beganMs, endedMs, cpuSeconds }
  }
})

const until = (unixMs: number) =>
  new Promise(resolve => setTimeout(resolve, unixMs - performance.timeOrigin - performance.now()))

interface Stage {
  put(index: number, blob: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** As actors/generator does it. */
async function natsStage({ server, window }: StagerTask, name: string): Promise<Stage> {
  const signal = new AbortController().signal
  const broker = await connectBroker({ servers: [server], name, signal })
  const store = openStore(broker, ROLLOUTS)
  return {
    async put(index, blob) {
      const digest = digestOf(blob)
      const object = stagedObject(window, 1, index, digest)
      await store.put(object, blob, { signal })
      await announce(
        broker,
        staged,
        { window, epoch: 1, index },
        {
          ...{ object, digest, bytes: blob.length, rollouts: 16, generator: name, boot: '', checkpointWindow: 0 },
          seconds: { prompt: 0, generate: 0, prove: 0, reward: 0, stage: 0 },
        },
        { signal },
      )
    },
    close: () => broker.drain(),
  }
}

async function redisStage({ port, window }: StagerTask): Promise<Stage> {
  const redis = await connectRedis(port)
  return {
    async put(index, blob) {
      const digest = digestOf(blob)
      const key = `bench:${window}:${index}:${digest}`
      await redis.command('SET', key, blob)
      await redis.command('RPUSH', REDIS_QUEUE, key)
    },
    close: async () => redis.close(),
  }
}

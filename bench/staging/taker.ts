import { followJournal } from '../../actors/journal.js'
import { ROLLOUTS } from '../../actors/streams.js'
import { connectBroker, openStore } from '../../nats/index.js'
import { digestOf } from '../../src/window/blob.js'
import { serve } from '../measure/child.js'
import { cpuSecondsSince, memoryOf } from '../measure/process.js'
import { connectRedis } from '../redis/resp.js'
import { REDIS_QUEUE, type StagerTask } from './task.js'

// The one that takes all staged groups while they come, and checks their digests.

export type TakerTask = Omit<StagerTask, 'workers'> & { groups: number }

export interface TakerResult {
  /** Unix ms at which the last group was there and checked. */
  endedMs: number
  bytes: number
  cpuSeconds: number
  peakBytes: number
}

/** Groups read at once: the one being written and two ahead, as the aggregator has it. */
const IN_FLIGHT = 3

serve(async (task: TakerTask) => {
  const taken = counted(task.groups)
  const stop = task.way === 'nats' ? await fromNats(task, taken.one) : await fromRedis(task, taken.one)
  return async (): Promise<TakerResult> => {
    const began = process.cpuUsage()
    const bytes = await taken.all
    const endedMs = performance.timeOrigin + performance.now()
    const cpuSeconds = cpuSecondsSince(began)
    await stop()
    return { endedMs, bytes, cpuSeconds, peakBytes: memoryOf(process.pid).peak }
  }
})

/** Reads at most `IN_FLIGHT` at once, the others wait. */
function counted(groups: number) {
  const waiting: (() => Promise<Uint8Array>)[] = []
  let running = 0
  let done = 0
  let bytes = 0
  let finish: (bytes: number) => void
  let fail: (error: unknown) => void
  const all = new Promise<number>((resolve, reject) => {
    finish = resolve
    fail = reject
  })
  const next = () => {
    while (running < IN_FLIGHT && waiting.length > 0) {
      running++
      const read = waiting.shift() as () => Promise<Uint8Array>
      read().then(blob => {
        running--
        bytes += blob.length
        if (++done === groups) finish(bytes)
        next()
      }, fail)
    }
  }
  return {
    all,
    one(digest: string, read: () => Promise<Uint8Array>) {
      waiting.push(async () => {
        const blob = await read()
        if (digestOf(blob) !== digest) throw new Error('a group is not what was staged')
        return blob
      })
      next()
    },
  }
}

type One = (digest: string, read: () => Promise<Uint8Array>) => void

/** As actors/aggregator does it: the journal names what is staged. */
async function fromNats({ server, window }: TakerTask, one: One): Promise<() => Promise<void>> {
  const end = new AbortController()
  const broker = await connectBroker({ servers: [server], name: 'taker', signal: end.signal })
  const store = openStore(broker, ROLLOUTS)
  const journal = followJournal(
    broker,
    { window, epoch: 1 },
    {
      signal: end.signal,
      onBroken: (_, error) => {
        throw error
      },
      onEvent: event => {
        if (event.kind === 'staged')
          one(event.payload.digest, () => store.get(event.payload.object, { signal: end.signal }))
      },
    },
  )
  await journal.caughtUp
  return async () => {
    end.abort()
    await journal.done.catch(() => {})
    await broker.drain()
  }
}

/** BLPOP on one connection, GETs on another, so that neither waits for the other. */
async function fromRedis({ port, groups }: TakerTask, one: One): Promise<() => Promise<void>> {
  const [queue, values] = await Promise.all([connectRedis(port), connectRedis(port)])
  const follow = async () => {
    for (let i = 0; i < groups; i++) {
      const [, key] = (await queue.command('BLPOP', REDIS_QUEUE, 0)) as [Buffer, Buffer]
      const name = key.toString()
      one(name.split(':').at(-1) as string, async () => (await values.command('GET', name)) as Buffer)
    }
  }
  follow().catch(() => {})
  return async () => {
    queue.close()
    values.close()
  }
}

import { randomFillSync } from 'node:crypto'
import {
  type Broker,
  claim,
  claimBucket,
  dropStream,
  ensureClaimBucket,
  ensureStore,
  objectStore,
} from '../../nats/index.js'
import { timeOut } from '../../src/time-out.js'
import { encodeClaim } from '../../src/window/claim.js'

// Puts a load on the broker as a fleet does, in buckets of its own, and takes everything away again.

/** Begins every name made here; no actor uses one. */
const PREFIX = 'GRAIL_BENCH_'
/** What a killed run leaves behind empties itself after this, and is removed by the next run, ms. No run takes as long. */
const LEFT_OVER_MS = 600_000
/** Cleaning up is tried for this long, also when the run was stopped, ms: it must end before a stopped program is. */
const CLEAN_MS = 10_000
/** Objects under way at once. */
const OBJECTS_IN_FLIGHT = 4

export interface LoadOptions {
  /** A connection for each claimer, as generators have one; the first one makes and removes the buckets. */
  brokers: readonly [Broker, ...Broker[]]
  replicas: number
  /** How long claims are made one after the other, ms. */
  claimMs: number
  /** Size of an object, and of all of them together. */
  objectBytes: number
  totalBytes: number
  /** Names the buckets: no two runs at once have the same. */
  name: string
  /** Told the streams that could not be removed. */
  onLeft(streams: readonly string[]): void
  signal: AbortSignal
}

/** Times of one kind of call. */
export interface Timed {
  calls: number
  perSecond: number
  /** ms */
  p50: number
  p99: number
}

export interface LoadReport {
  claims: Timed
  put: Timed
  get: Timed
  /** Which server leads the claims' stream, and how many keep it, the leader included; of servers that are no cluster nothing. */
  leader?: string
  copies: number
}

/**
 * Claims, puts and gets; whatever happens, what it made is removed.
 * @throws BrokerError; Error when an index was given out twice or never
 */
export async function loadBroker(options: LoadOptions): Promise<LoadReport> {
  const { brokers, replicas, objectBytes, totalBytes, signal } = options
  const [broker] = brokers
  const bucket = `${PREFIX}${options.name}`
  await removeLeftOvers(broker, signal)
  const keeping = { replicas, maxAgeMs: LEFT_OVER_MS, duplicateWindowMs: LEFT_OVER_MS, signal }
  const streams = [claimBucket(bucket, keeping).name, objectStore(bucket).name] as const
  try {
    await ensureClaimBucket(broker, bucket, keeping)
    const { cluster } = await broker.jsm.streams.info(streams[0])
    const claims = await measureClaims(options, bucket)
    const names = Array.from({ length: Math.max(1, Math.round(totalBytes / objectBytes)) }, (_, i) => `object-${i}`)
    const store = await ensureStore(broker, bucket, { ...keeping, maxBytes: 2 * names.length * objectBytes })
    const bytes = randomFillSync(new Uint8Array(objectBytes))
    const put = await measureEach(names, name => store.put(name, bytes, { signal }))
    const get = await measureEach(names, name => store.get(name, { signal }))
    return {
      ...{ claims, put, get },
      ...(cluster?.leader === undefined ? {} : { leader: cluster.leader }),
      copies: 1 + (cluster?.replicas?.length ?? 0),
    }
  } finally {
    const patience = { signal: timeOut(CLEAN_MS) }
    const removed = await Promise.allSettled(streams.map(stream => dropStream(broker, stream, patience)))
    const left = streams.filter((_, i) => removed[i]?.status === 'rejected')
    if (left.length > 0) options.onLeft(left)
  }
}

async function measureClaims({ brokers, claimMs, signal }: LoadOptions, bucket: string): Promise<Timed> {
  const waits: number[] = []
  const indices: number[] = []
  const began = performance.now()
  const end = began + claimMs
  await Promise.all(
    brokers.map(async (broker, i) => {
      const generator = `bench-${i}`
      for (let n = 0; performance.now() < end; n++) {
        const id = `${generator}.${n}`
        const value = encodeClaim({ generator, boot: '', checkpointWindow: 0, atMs: Date.now() })
        const asked = performance.now()
        const { index } = await claim(broker, bucket, id, value, { id, signal })
        waits.push(performance.now() - asked)
        indices.push(index)
      }
    }),
  )
  const seconds = (performance.now() - began) / 1_000
  const wrong = indices.sort((a, b) => a - b).findIndex((index, i) => index !== i)
  if (wrong >= 0) throw new Error(`index ${wrong} was given out twice or never: this broker must not serve a fleet`)
  return timed(waits, seconds)
}

async function measureEach(names: readonly string[], call: (name: string) => Promise<unknown>): Promise<Timed> {
  const waits: number[] = []
  const left = names.values()
  const began = performance.now()
  await Promise.all(
    Array.from({ length: OBJECTS_IN_FLIGHT }, async () => {
      for (const name of left) {
        const asked = performance.now()
        await call(name)
        waits.push(performance.now() - asked)
      }
    }),
  )
  return timed(waits, (performance.now() - began) / 1_000)
}

function timed(waits: number[], seconds: number): Timed {
  const sorted = Float64Array.from(waits).sort()
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN
  return { calls: waits.length, perSecond: waits.length / seconds, p50: at(0.5), p99: at(0.99) }
}

/** Of runs that were killed. A run beside this one is younger than that. */
async function removeLeftOvers(broker: Broker, signal: AbortSignal): Promise<void> {
  const found: string[] = []
  for await (const { config, created } of broker.jsm.streams.list()) {
    const ours = config.name.startsWith(`KV_${PREFIX}`) || config.name.startsWith(`OBJ_${PREFIX}`)
    if (ours && Date.now() - Date.parse(created) > LEFT_OVER_MS) found.push(config.name)
  }
  for (const name of found) await dropStream(broker, name, { signal })
}

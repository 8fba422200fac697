import { type Broker, type Drift, ensure, journal, kvBucket, objectStore, workQueue } from '../nats/index.js'
import { CONFIG, EVENTS, FLEET, LEASES, PARTS, REISSUE, REISSUE_CONSUMER, ROLLOUTS } from './streams.js'

/** The journal keeps two hours: twenty windows of 360 s, enough to learn tails from and to look a bad hour up. */
const JOURNAL_MS = 2 * 3_600_000
/** Staged groups and parts are forgotten after two windows; this is the net below it: three windows of 360 s. */
const STAGED_MS = 3 * 360_000
/** Most bytes of staged groups: two windows of 12,800 rollouts at 1,200 tokens (14 KB each) fit four times. */
const STAGED_BYTES = 2 * 1024 ** 3
/** Most bytes of parts: two window files of 350 MiB, the largest a validator takes, and a second attempt of one. */
const PARTS_BYTES = 1024 ** 3 + 100 * 1024 ** 2
/** A re-issued index not taken within a window is of no use to anybody. */
const REISSUE_MS = 360_000

/** A generator settles what it pulled at once; one that dies in between gives it back after this, ms. */
const REISSUE_ACK_MS = 5_000

/** Everything the fleet keeps in the broker, as data: what is there is compared with it. */
export function wantedStreams({
  replicas,
  presenceMs,
  leaseMs,
}: {
  replicas: number
  presenceMs: number
  leaseMs: number
}) {
  return [
    journal(EVENTS, ['grail.window.>'], { replicas, maxAgeMs: JOURNAL_MS }),
    workQueue(
      REISSUE,
      ['grail.reissue.>'],
      { name: REISSUE_CONSUMER, ackWaitMs: REISSUE_ACK_MS },
      { replicas, maxAgeMs: REISSUE_MS },
    ),
    objectStore(ROLLOUTS, { replicas, maxAgeMs: STAGED_MS, maxBytes: STAGED_BYTES }),
    objectStore(PARTS, { replicas, maxAgeMs: STAGED_MS, maxBytes: PARTS_BYTES }),
    kvBucket(FLEET, { replicas, maxAgeMs: presenceMs }),
    kvBucket(LEASES, { replicas, maxAgeMs: leaseMs }),
    kvBucket(CONFIG, { replicas }),
  ]
}

/** Creates what is missing and reports what differs. Every actor does it: there is no order of start. */
export async function ensureStreams(
  broker: Broker,
  options: { replicas: number; presenceMs: number; leaseMs: number; signal: AbortSignal },
): Promise<Drift[]> {
  const { drift } = await ensure(broker, wantedStreams(options), { signal: options.signal })
  return drift
}

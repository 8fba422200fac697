import { nanos } from 'nats'
import { checkBucketName, kvStream, kvSubject } from './names.js'

/** The part of JetStream's stream configuration we set. Durations are nanoseconds there, as on the wire. */
export interface StreamSettings {
  subjects: readonly string[]
  retention: 'limits' | 'workqueue'
  storage: 'file' | 'memory'
  discard: 'new' | 'old'
  num_replicas: number
  max_msgs: number
  max_msgs_per_subject: number
  max_bytes: number
  max_msg_size: number
  max_age: number
  duplicate_window: number
  allow_direct: boolean
  allow_rollup_hdrs: boolean
  deny_delete: boolean
  deny_purge: boolean
  discard_new_per_subject: boolean
}

/** The part of JetStream's consumer configuration we set. */
export interface ConsumerSettings {
  ack_policy: 'explicit'
  deliver_policy: 'all'
  ack_wait: number
  max_deliver: number
  max_ack_pending: number
  max_waiting: number
  filter_subject?: string
}

export interface WantedConsumer {
  name: string
  settings: ConsumerSettings
}

/** A stream as it should be, with the consumers others rely on. Made by `journal`, `workQueue`, `kvBucket`, `objectStore`, `claimBucket`. */
export interface WantedStream {
  name: string
  settings: StreamSettings
  consumers: readonly WantedConsumer[]
}

/** How long a message id is remembered, unless said otherwise: two windows of 30 blocks at 12 s, and then some. */
export const DUPLICATE_WINDOW_MS = 900_000

/** JetStream refuses a duplicate window longer than the messages' life. */
export function duplicateWindow(wantedMs: number, maxAgeMs: number): number {
  return nanos(maxAgeMs > 0 ? Math.min(wantedMs, maxAgeMs) : wantedMs)
}

export const plainStream: Omit<StreamSettings, 'subjects' | 'duplicate_window'> = {
  retention: 'limits',
  storage: 'file',
  discard: 'old',
  num_replicas: 1,
  max_msgs: -1,
  max_msgs_per_subject: -1,
  max_bytes: -1,
  max_msg_size: -1,
  max_age: 0,
  allow_direct: true,
  allow_rollup_hdrs: false,
  deny_delete: false,
  deny_purge: false,
  discard_new_per_subject: false,
}

export interface StreamChoices {
  /** How long messages are kept, milliseconds; 0 for ever. */
  maxAgeMs?: number
  /** Bytes of the whole stream; -1 for no limit. */
  maxBytes?: number
  replicas?: number
  storage?: 'file' | 'memory'
  duplicateWindowMs?: number
}

function chosen(choices: StreamChoices): typeof plainStream & { duplicate_window: number } {
  const maxAgeMs = choices.maxAgeMs ?? 0
  return {
    ...plainStream,
    storage: choices.storage ?? 'file',
    num_replicas: choices.replicas ?? 1,
    max_bytes: choices.maxBytes ?? -1,
    max_age: nanos(maxAgeMs),
    duplicate_window: duplicateWindow(choices.duplicateWindowMs ?? DUPLICATE_WINDOW_MS, maxAgeMs),
  }
}

/** A record of what happened, read again from the start by whoever restarts: nothing in it is changed, old entries age out. */
export function journal(name: string, subjects: readonly string[], choices: StreamChoices = {}): WantedStream {
  return { name, settings: { ...chosen(choices), subjects, deny_delete: true }, consumers: [] }
}

/**
 * Items that are each done by one worker, in order, and gone when done.
 * @param consumer the durable consumer all workers pull from
 */
export function workQueue(
  name: string,
  subjects: readonly string[],
  consumer: { name: string; ackWaitMs: number; maxAckPending?: number; maxWaiting?: number },
  choices: StreamChoices = {},
): WantedStream {
  return {
    name,
    settings: { ...chosen(choices), subjects, retention: 'workqueue' },
    consumers: [
      {
        name: consumer.name,
        settings: {
          ack_policy: 'explicit',
          deliver_policy: 'all',
          ack_wait: nanos(consumer.ackWaitMs),
          max_deliver: -1,
          // The server's defaults (1000 and 512) would stop a fleet of more than 512 waiting workers.
          max_ack_pending: consumer.maxAckPending ?? 20_000,
          max_waiting: consumer.maxWaiting ?? 4_096,
        },
      },
    ],
  }
}

/** A key-value bucket (ADR-8), as `nats kv` and the client libraries know it. `maxAgeMs` is the life of a value that is not renewed. */
export function kvBucket(bucket: string, choices: StreamChoices & { history?: number } = {}): WantedStream {
  checkBucketName(bucket)
  return {
    name: kvStream(bucket),
    settings: {
      ...chosen(choices),
      subjects: [kvSubject(bucket, '>')],
      max_msgs_per_subject: choices.history ?? 1,
      discard: 'new',
      allow_rollup_hdrs: true,
      deny_delete: true,
      // The library's buckets remember ids for two minutes; a bucket with short-lived values less.
      duplicate_window: duplicateWindow(choices.duplicateWindowMs ?? 120_000, choices.maxAgeMs ?? 0),
    },
    consumers: [],
  }
}

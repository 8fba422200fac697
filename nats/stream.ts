import { type ConsumerInfo, nanos, type StreamInfo } from 'nats'
import type { Broker } from './connect.js'
import { BrokerError, isBrokerError } from './errors.js'
import type { Patience } from './patience.js'
import { api } from './request.js'

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

/** Something that is not as wanted. */
export interface Drift {
  /** `STREAM` or `STREAM > consumer`. */
  name: string
  field: string
  wanted: unknown
  actual: unknown
  /** What became of it: 'repaired', or why not. */
  outcome: 'repaired' | 'not repaired' | 'cannot be changed'
}

export interface Ensured {
  created: string[]
  drift: Drift[]
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

export const kvStream = (bucket: string): string => `KV_${bucket}`
export const kvSubject = (bucket: string, key: string): string => `$KV.${bucket}.${key}`

const BUCKET_NAME = /^[-\w]+$/
const KEY = /^(?!\.)[-/_=.\w]+(?<!\.)$/

export function checkBucketName(name: string): void {
  if (!BUCKET_NAME.test(name))
    throw new BrokerError('invalid', `'${name}' cannot name a bucket: letters, digits, - and _ only`)
}

export function checkKey(key: string): void {
  if (!KEY.test(key))
    throw new BrokerError('invalid', `'${key}' cannot be a key: letters, digits and -/_=. only, no dot at the ends`)
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

/** Fields a running stream may change; the others need a new stream (nats-server 2.9 server/stream.go, configUpdateCheck). */
const UPDATABLE: ReadonlySet<string> = new Set([
  'subjects',
  'discard',
  'num_replicas',
  'max_msgs',
  'max_msgs_per_subject',
  'max_bytes',
  'max_msg_size',
  'max_age',
  'duplicate_window',
  'allow_direct',
  'allow_rollup_hdrs',
  'discard_new_per_subject',
] satisfies (keyof StreamSettings)[])

const UPDATABLE_CONSUMER: ReadonlySet<string> = new Set([
  'ack_wait',
  'max_deliver',
  'max_ack_pending',
  'max_waiting',
] satisfies (keyof ConsumerSettings)[])

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function differences(
  name: string,
  wanted: object,
  actual: object,
  updatable: ReadonlySet<string>,
  repair: boolean,
): Drift[] {
  const found: Drift[] = []
  for (const [field, value] of Object.entries(wanted)) {
    // The server leaves out what is false or zero.
    const has =
      (actual as Record<string, unknown>)[field] ??
      (typeof value === 'boolean' ? false : typeof value === 'number' ? 0 : undefined)
    if (same(value, has)) continue
    const outcome = !updatable.has(field) ? 'cannot be changed' : repair ? 'repaired' : 'not repaired'
    found.push({ name, field, wanted: value, actual: has, outcome })
  }
  return found
}

/** The stream's configuration and state; undefined when there is none of that name. Throws when the broker does not answer. */
export async function streamInfo(broker: Broker, stream: string, patience: Patience): Promise<StreamInfo | undefined> {
  try {
    return await api<StreamInfo>(broker, `STREAM.INFO.${stream}`, undefined, patience)
  } catch (e) {
    if (isBrokerError(e, 'not-found')) return undefined
    throw e
  }
}

async function consumerInfo(
  broker: Broker,
  stream: string,
  name: string,
  patience: Patience,
): Promise<ConsumerInfo | undefined> {
  try {
    return await api<ConsumerInfo>(broker, `CONSUMER.INFO.${stream}.${name}`, undefined, patience)
  } catch (e) {
    if (isBrokerError(e, 'not-found')) return undefined
    throw e
  }
}

async function ensureStream(
  broker: Broker,
  wanted: WantedStream,
  options: EnsureOptions,
  into: Ensured,
): Promise<void> {
  const found = await streamInfo(broker, wanted.name, options)
  if (found === undefined) {
    await api(broker, `STREAM.CREATE.${wanted.name}`, { name: wanted.name, ...wanted.settings }, options)
    into.created.push(wanted.name)
    return
  }
  const drift = differences(wanted.name, wanted.settings, found.config, UPDATABLE, options.repair ?? false)
  const repairs = Object.fromEntries(drift.filter(d => d.outcome === 'repaired').map(d => [d.field, d.wanted]))
  if (Object.keys(repairs).length > 0)
    await api(broker, `STREAM.UPDATE.${wanted.name}`, { ...found.config, ...repairs }, options)
  into.drift.push(...drift)
}

async function ensureConsumer(
  broker: Broker,
  stream: string,
  wanted: WantedConsumer,
  options: EnsureOptions,
  into: Ensured,
): Promise<void> {
  const name = `${stream} > ${wanted.name}`
  const make = (settings: object) =>
    api(
      broker,
      `CONSUMER.DURABLE.CREATE.${stream}.${wanted.name}`,
      { stream_name: stream, config: { ...settings, durable_name: wanted.name } },
      options,
    )
  const found = await consumerInfo(broker, stream, wanted.name, options)
  if (found === undefined) {
    await make(wanted.settings)
    into.created.push(name)
    return
  }
  const drift = differences(name, wanted.settings, found.config, UPDATABLE_CONSUMER, options.repair ?? false)
  const repairs = Object.fromEntries(drift.filter(d => d.outcome === 'repaired').map(d => [d.field, d.wanted]))
  if (Object.keys(repairs).length > 0) await make({ ...found.config, ...repairs })
  into.drift.push(...drift)
}

export type EnsureOptions = Patience & {
  /** Change what can be changed in place. */
  repair?: boolean
}

/**
 * Makes the broker hold what is wanted: creates what is absent, compares what is there, reports each difference. Deletes
 * nothing, ever. Doing it twice changes nothing.
 */
export async function ensure(
  broker: Broker,
  wanted: readonly WantedStream[],
  options: EnsureOptions,
): Promise<Ensured> {
  const ensured: Ensured = { created: [], drift: [] }
  for (const stream of wanted) {
    await ensureStream(broker, stream, options, ensured)
    for (const consumer of stream.consumers) await ensureConsumer(broker, stream.name, consumer, options, ensured)
  }
  return ensured
}

/** Deletes a stream with everything in it; absent is fine. */
export async function dropStream(broker: Broker, stream: string, patience: Patience): Promise<void> {
  try {
    await api(broker, `STREAM.DELETE.${stream}`, undefined, patience)
  } catch (e) {
    if (!isBrokerError(e, 'not-found')) throw e
  }
}

/** Removes the messages of one subject (wildcards allowed), without leaving markers. */
export async function purgeSubject(broker: Broker, stream: string, subject: string, patience: Patience): Promise<void> {
  await api(broker, `STREAM.PURGE.${stream}`, { filter: subject }, patience)
}

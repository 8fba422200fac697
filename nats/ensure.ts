import type { ConsumerInfo, StreamInfo } from 'nats'
import type { Broker } from './broker.js'
import { isBrokerError } from './errors.js'
import type { Patience } from './patience.js'
import { api } from './request.js'
import type { ConsumerSettings, StreamSettings, WantedConsumer, WantedStream } from './stream.js'
import { pause } from './waiting.js'

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

/** JetStream's error number: subjects overlap with an existing stream. */
const SUBJECTS_OVERLAP = 10065
/** So often, and so far apart, ms, it is looked for a stream that somebody else is making: two seconds, four times what a cluster needs. */
const OVERLAP_LOOKS = 20
const OVERLAP_LOOK_MS = 100

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

/**
 * Of several that make a stream at the same moment the server may tell one that its subjects are another stream's: they are those of
 * the stream it is making. It is there then, or in a moment.
 */
async function createStream(
  broker: Broker,
  { name, settings }: WantedStream,
  options: EnsureOptions,
): Promise<StreamInfo | 'created'> {
  try {
    await api(broker, `STREAM.CREATE.${name}`, { name, ...settings }, options)
    return 'created'
  } catch (e) {
    if (!isBrokerError(e) || e.number !== SUBJECTS_OVERLAP) throw e
    for (let look = 0; look < OVERLAP_LOOKS; look++) {
      const found = await streamInfo(broker, name, options)
      if (found) return found
      await pause(OVERLAP_LOOK_MS, options.signal)
    }
    throw e
  }
}

async function ensureStream(
  broker: Broker,
  wanted: WantedStream,
  options: EnsureOptions,
  into: Ensured,
): Promise<void> {
  const found = (await streamInfo(broker, wanted.name, options)) ?? (await createStream(broker, wanted, options))
  if (found === 'created') {
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

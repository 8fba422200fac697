import type { Broker } from './broker.js'
import { checkKey, kvStream, kvSubject } from './names.js'
import { type Patience, persist } from './patience.js'
import { storeOnce } from './publish.js'
import { lastOf } from './read.js'

export interface Value {
  bytes: Uint8Array
  /** Grows with every write to the bucket. */
  revision: number
  /** When it was written, unix ms by the server's clock. */
  timeMs: number
}

/**
 * Writes a value of a key-value bucket; the last writer counts. Returns its revision.
 * @param options.replaces write only if the value still has this revision (0: only if it was never written); otherwise BrokerError
 * 'wrong-revision'. A repetition of an attempt whose answer got lost is told as that too: read before trying again.
 */
export function putValue(
  broker: Broker,
  bucket: string,
  key: string,
  bytes: Uint8Array,
  options: Patience & { replaces?: number },
): Promise<number> {
  checkKey(key)
  const { signal, replaces } = options
  const doing = `write ${key} of ${bucket}`
  const headers: Record<string, string> =
    replaces === undefined ? {} : { 'Nats-Expected-Last-Subject-Sequence': String(replaces) }
  const once = async (timeoutMs: number) => {
    const target = { doing, timeoutMs, signal, headers, expectStream: kvStream(bucket) }
    return (await storeOnce(broker, kvSubject(bucket, key), bytes, target)).seq
  }
  return persist(doing, once, options)
}

/** A value of a key-value bucket; undefined when there is none, or it was deleted. Throws BrokerError 'not-found' when there is no such bucket. */
export async function readValue(
  broker: Broker,
  bucket: string,
  key: string,
  patience: Patience,
): Promise<Value | undefined> {
  checkKey(key)
  const kept = await lastOf(broker, kvStream(bucket), kvSubject(bucket, key), patience)
  // A deletion is written down as a message that says so.
  if (kept === undefined || kept.headers?.has('KV-Operation')) return undefined
  return { bytes: kept.bytes, revision: kept.seq, timeMs: kept.timeMs }
}

import { CheckpointError } from './checkpoint-error.js'

/** What a listing tells about an object. */
export interface StoredObject {
  key: string
  bytes: number
  /** Changes when the object is replaced. */
  etag: string
}

/** What consumers of checkpoints ask of the trainer's bucket; every `Bucket` is one. Its errors say what comes next in a field `next`. */
export interface ObjectReader {
  /** Where it is, for people: no secrets. */
  readonly place: string
  /** The bytes [from, to) of an object, or all of it. */
  get(key: string, signal: AbortSignal, range?: { from: number; to: number }): Promise<Uint8Array>
  /** Objects under a prefix, all pages. */
  list(prefix: string, signal: AbortSignal): AsyncIterable<StoredObject>
}

/**
 * Opens the trainer's bucket with the read credentials of its on-chain commitment, or says in a sentence why it cannot be
 * opened. Asked before every use: credentials may change. Rejects with the signal's reason when it aborts.
 */
export type OpenBucket = (signal: AbortSignal) => Promise<ObjectReader | string>

/** Most objects a trainer's checkpoints may consist of: retention leaves some twenty checkpoints of some thirty files. */
const MAX_OBJECTS = 20_000

/**
 * Objects under a prefix by key.
 * @throws CheckpointError 'malformed' when there are more than a trainer would keep
 */
export async function listObjects(
  bucket: ObjectReader,
  prefix: string,
  signal: AbortSignal,
): Promise<Map<string, StoredObject>> {
  const objects = new Map<string, StoredObject>()
  for await (const { key, bytes, etag } of bucket.list(prefix, signal)) {
    if (objects.size === MAX_OBJECTS)
      throw new CheckpointError(
        'malformed',
        `there are more than ${MAX_OBJECTS} objects under ${prefix} in ${bucket.place}: is this the trainer's bucket?`,
        'later',
      )
    objects.set(key, { key, bytes, etag })
  }
  return objects
}

/**
 * The bytes of a listed object, or a part of them.
 * @throws CheckpointError 'absent' when it was removed since it was listed; the bucket's error
 */
export async function getListed(
  bucket: ObjectReader,
  { key }: StoredObject,
  signal: AbortSignal,
  range?: { from: number; to: number },
): Promise<Uint8Array> {
  try {
    return await bucket.get(key, signal, range)
  } catch (error) {
    if ((error as { code?: unknown } | undefined)?.code !== 'no-such-key') throw error
    throw new CheckpointError('absent', `${key} was removed from ${bucket.place} just now`, 'later', { cause: error })
  }
}

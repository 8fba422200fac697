import type { Profile } from '../protocol/profile.js'
import { CheckpointError } from './checkpoint-error.js'
import type { CheckpointMetadata } from './metadata.js'
import { listObjects, type ObjectReader, type OpenBucket, type StoredObject } from './object-reader.js'
import { CHECKPOINT_PREFIX, type CheckpointKind, checkpointMetadataKey, checkpointPrefix } from './paths.js'
import { type Pace, patiently } from './patience.js'
import { type Published, type PublishedCheckpoint, readForm, storedAs } from './published.js'
import { CheckpointMetadataError, parseCheckpointMetadata } from './record.js'
import { latestReadyCheckpoint } from './selection.js'

/** How long a listing and the metadata behind it are asked for, ms: a window has six minutes, and asking again at the next one is better than a late start. */
const PATIENCE_MS = 20_000

/** Metadata objects remembered, in both forms of the checkpoints of the last windows. */
const REMEMBERED = 32

/** A checkpoint of the trainer: what is mined with it, and how to get it (`checkpointCache`). */
export interface TrainerCheckpoint extends PublishedCheckpoint {
  /** From the bucket, of the form validators read: DELTA where there is one, else FULL. */
  metadata: CheckpointMetadata
}

/** What the trainer's bucket says about checkpoints. No call changes it. */
export interface TrainerSource {
  /**
   * The checkpoint that window `before` is mined and validated with, or a sentence why there is none and what to do.
   * @param before first block of the window; only checkpoints that became READY in earlier windows count
   */
  latest(before: number, signal: AbortSignal): Promise<TrainerCheckpoint | string>
  /** A checkpoint by its own window, for those who are told which one to use; or a sentence why it cannot be had. */
  at(checkpointWindow: number, signal: AbortSignal): Promise<TrainerCheckpoint | string>
}

export interface TrainerOptions extends Pace {
  bucket: OpenBucket
  profile: Profile
}

/**
 * Reads which checkpoint the trainer offers and what is mined with it. Everything is read from the bucket: READY markers
 * choose (one-covenant/grail grail/infrastructure/checkpoint_consumer.py:1526-1600, 54d6342), metadata.json describes.
 */
export function trainerSource(options: TrainerOptions): TrainerSource {
  const remembered = new Map<string, Published>()

  /** Runs one question with patience; what goes wrong in an expected way becomes a sentence. */
  const ask = async <T>(
    signal: AbortSignal,
    question: (bucket: ObjectReader, signal: AbortSignal) => Promise<T>,
  ): Promise<T | string> => {
    try {
      return await insist(signal, question)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof CheckpointError || error instanceof CheckpointMetadataError) return error.message
      const { next, message } = error as { next?: unknown; message?: string }
      if (next === undefined) throw error
      const advice =
        next === 'never'
          ? 'check that the commitment of the trainer is this bucket’s'
          : 'it is asked again at the next window'
      return `the trainer's bucket cannot be read: ${message}; ${advice}`
    }
  }

  const insist = async <T>(
    signal: AbortSignal,
    question: (bucket: ObjectReader, signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const bucket = await options.bucket(signal)
    if (typeof bucket === 'string') throw new CheckpointError('no-bucket', bucket, 'later')
    return patiently(limited => question(bucket, limited), signal, PATIENCE_MS, options)
  }

  const form = async (
    bucket: ObjectReader,
    objects: ReadonlyMap<string, StoredObject>,
    window: number,
    kind: CheckpointKind,
    signal: AbortSignal,
  ): Promise<Published | undefined> => {
    const object = storedAs(objects, checkpointMetadataKey(window, kind))
    if (!object) return undefined
    const name = `${object.key} ${object.etag}`
    const known = remembered.get(name)
    if (known) return known
    const published = await readForm(bucket, objects, window, kind, signal)
    if (published) remembered.set(name, published)
    for (const oldest of remembered.keys()) if (remembered.size > REMEMBERED) remembered.delete(oldest)
    return published
  }

  const describe = async (
    bucket: ObjectReader,
    objects: ReadonlyMap<string, StoredObject>,
    window: number,
    signal: AbortSignal,
  ): Promise<TrainerCheckpoint> => {
    const delta = await form(bucket, objects, window, 'DELTA', signal)
    // Beside a delta the FULL form is only a way to get the same weights: a bad one is done without.
    const full = await form(bucket, objects, window, 'FULL', signal).catch((error: unknown) => {
      if (delta && error instanceof CheckpointError) return undefined
      throw error
    })
    const preferred = delta ?? full
    if (!preferred)
      throw new CheckpointError(
        'absent',
        `checkpoint ${window} in ${bucket.place} has no metadata.json: nothing is mined with what nobody describes`,
        'later',
      )
    return { window, full, delta, metadata: parseCheckpointMetadata(preferred.json, options.profile) }
  }

  return {
    latest: (before, signal) =>
      ask(signal, async (bucket, limited) => {
        const objects = await listObjects(bucket, CHECKPOINT_PREFIX, limited)
        const window = latestReadyCheckpoint(objects.keys(), before)
        if (window === undefined)
          throw new CheckpointError(
            'absent',
            `no checkpoint in ${bucket.place} was READY before window ${before}: the trainer has not published one yet`,
            'later',
          )
        return describe(bucket, objects, window, limited)
      }),

    at: (checkpointWindow, signal) =>
      ask(signal, async (bucket, limited) => {
        const objects = await listObjects(bucket, `${checkpointPrefix(checkpointWindow)}/`, limited)
        return describe(bucket, objects, checkpointWindow, limited)
      }),
  }
}

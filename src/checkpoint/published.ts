import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { CheckpointError } from './checkpoint-error.js'
import { getListed, listObjects, type ObjectReader, type StoredObject } from './object-reader.js'
import { type CheckpointKind, checkpointKindPrefix, checkpointMetadataKey, checkpointPrefix } from './paths.js'
import { type CheckpointFiles, CheckpointMetadataError, parseCheckpointFiles } from './record.js'

/** Bytes of a small JSON object in the bucket, and of what it unpacks to: a manifest has some thirty lines, a delta's shapes some thousand. */
const MAX_STORED_BYTES = 16 * 1024 * 1024
const MAX_UNPACKED_BYTES = 64 * 1024 * 1024

/** One form of a checkpoint as its publisher describes it. */
export interface Published {
  kind: CheckpointKind
  /** metadata.json as it is in the bucket. */
  json: Record<string, unknown>
  files: CheckpointFiles
}

/** A checkpoint in the trainer's bucket; at an anchor in both forms. */
export interface PublishedCheckpoint {
  window: number
  full: Published | undefined
  delta: Published | undefined
}

/**
 * The object that holds a file: `{key}.gz` goes before `{key}`, as the reference looks for them
 * (one-covenant/grail grail/infrastructure/comms.py:734-751, 54d6342).
 */
export function storedAs(objects: ReadonlyMap<string, StoredObject>, key: string): StoredObject | undefined {
  return objects.get(`${key}.gz`) ?? objects.get(key)
}

/**
 * Reads what is published of a checkpoint, whatever is mined with it. Forms without metadata are undefined: a FULL one is
 * uploaded in the background at anchors and may follow.
 * @throws CheckpointError 'malformed' when metadata is no publisher's
 */
export async function readPublished(
  bucket: ObjectReader,
  window: number,
  signal: AbortSignal,
): Promise<PublishedCheckpoint> {
  const objects = await listObjects(bucket, `${checkpointPrefix(window)}/`, signal)
  return {
    window,
    full: await readForm(bucket, objects, window, 'FULL', signal),
    delta: await readForm(bucket, objects, window, 'DELTA', signal),
  }
}

/** Reads one form's metadata; undefined when the listing has none. Throws CheckpointError 'malformed'. */
export async function readForm(
  bucket: ObjectReader,
  objects: ReadonlyMap<string, StoredObject>,
  window: number,
  kind: CheckpointKind,
  signal: AbortSignal,
): Promise<Published | undefined> {
  const object = storedAs(objects, checkpointMetadataKey(window, kind))
  if (!object) return undefined
  const json = await readJson(bucket, object, signal)
  const refuse = (why: string, cause?: unknown) =>
    new CheckpointError('malformed', `${object.key} in ${bucket.place}: ${why}`, 'never', { cause })
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw refuse('it is no JSON object')
  let files: CheckpointFiles
  try {
    files = parseCheckpointFiles(json, kind)
  } catch (error) {
    if (error instanceof CheckpointMetadataError) throw refuse(error.message, error)
    throw error
  }
  if (files.window !== window) throw refuse(`it describes checkpoint ${files.window}`)
  if (files.kind !== kind) throw refuse(`it describes a ${files.kind} checkpoint`)
  return { kind, json: json as Record<string, unknown>, files }
}

/** A small JSON object, unpacked when its key ends in `.gz`. Throws CheckpointError 'malformed'. */
export async function readJson(bucket: ObjectReader, object: StoredObject, signal: AbortSignal): Promise<unknown> {
  const { key, bytes } = object
  const refuse = (why: string, cause?: unknown) =>
    new CheckpointError('malformed', `${key} in ${bucket.place}: ${why}`, 'never', { cause })
  if (bytes > MAX_STORED_BYTES) throw refuse(`${bytes} bytes are more than the ${MAX_STORED_BYTES} it may have`)
  const stored = await getListed(bucket, object, signal)
  let text: string
  try {
    const unpacked = key.endsWith('.gz')
      ? await promisify(gunzip)(stored, { maxOutputLength: MAX_UNPACKED_BYTES })
      : Buffer.from(stored)
    text = unpacked.toString('utf8')
  } catch (error) {
    throw refuse('it cannot be unpacked', error)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw refuse('it is not JSON', error)
  }
}

/** Prefix of the files of one form, with a slash at its end. */
export function filesPrefix(window: number, kind: CheckpointKind): string {
  return `${checkpointKindPrefix(window, kind)}/`
}

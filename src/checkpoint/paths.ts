import { pythonInt } from '../protocol/python-number.js'

/** Where checkpoints lie in the trainer's bucket (one-covenant/grail grail/shared/checkpoint_paths.py, 54d6342). */
export const CHECKPOINT_PREFIX = 'grail/checkpoints/'

const FOLDER = 'checkpoint-'
const READY = 'READY-'

/** Which of the two forms of a checkpoint; both may exist at an anchor. */
export type CheckpointKind = 'FULL' | 'DELTA'

/** `grail/checkpoints/checkpoint-{window}`, no slash at the end. */
export function checkpointPrefix(window: number): string {
  return `${CHECKPOINT_PREFIX}${FOLDER}${window}`
}

/** Prefix of the files of one form, no slash at the end. */
export function checkpointKindPrefix(window: number, kind: CheckpointKind): string {
  return `${checkpointPrefix(window)}/${kind}`
}

export function checkpointMetadataKey(window: number, kind: CheckpointKind): string {
  return `${checkpointKindPrefix(window, kind)}/metadata.json`
}

/** Key of the empty object that says the upload was finished in window `readyWindow`. */
export function readyMarkerKey(window: number, readyWindow: number): string {
  return `${checkpointPrefix(window)}/${READY}${readyWindow}`
}

/** A READY marker: which checkpoint, and in which window it became complete. */
export interface ReadyMarker {
  window: number
  readyWindow: number
}

/**
 * Reads a key as a READY marker the way the reference does, tolerance included: only the number behind the first dash of
 * the third and fourth segment counts, so `checkpoint-30-old/READY-60/x` is one of checkpoint 30
 * (grail/infrastructure/checkpoint_consumer.py:1526-1600, 54d6342). undefined for any other key.
 */
export function parseReadyMarker(key: string): ReadyMarker | undefined {
  const [, , folder, marker] = key.split('/')
  if (!folder?.startsWith(FOLDER) || !marker?.startsWith(READY) || !key.includes(`/${READY}`)) return undefined
  const window = wholeNumber(folder.split('-')[1])
  const readyWindow = wholeNumber(marker.split('-')[1])
  return window === undefined || readyWindow === undefined ? undefined : { window, readyWindow }
}

/** Window of the first `checkpoint-{window}` segment of a key or prefix; undefined when there is none or it is no number. */
export function windowOfKey(key: string): number | undefined {
  const segment = key.split('/').find(part => part.startsWith(FOLDER))
  return segment === undefined ? undefined : wholeNumber(segment.slice(FOLDER.length))
}

function wholeNumber(text: string | undefined): number | undefined {
  try {
    return Number(pythonInt(text))
  } catch {
    return undefined
  }
}

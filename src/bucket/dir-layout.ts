import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { BucketError } from './bucket.js'
import { checkKey } from './key.js'

/** Longest file name of the usual file systems, bytes. */
const MAX_NAME_BYTES = 255

/**
 * Where a key lies under the bucket's folder: `grail/windows/x.parquet` is just there, so people and tools can open it.
 *
 * In a bucket `a` and `a/b` can both be objects, in a folder `a` is a file or a folder. Hence folder names never contain
 * a '.' and file names always do: '.' is written %2E in a folder name; a file name without a '.' of its own gets one at
 * its end. Names that start with '.' are left to the bucket itself. Every key has one path and every path one key.
 * @param key checked by checkKey
 * @throws BucketError 'invalid-key' when a part of the key is too long for a file name
 */
export function pathOfKey(key: string): string {
  const segments = key.split('/')
  const names = segments.map((segment, i) => (i < segments.length - 1 ? folderName(segment) : fileName(segment)))
  const long = names.findIndex(name => name.length > MAX_NAME_BYTES)
  if (long >= 0)
    throw new BucketError(
      'invalid-key',
      `'${segments[long]?.slice(0, 40)}…' in the key is too long for a file name of ${MAX_NAME_BYTES} bytes`,
      'never',
    )
  return join(...names)
}

/** The part of a key that a folder's name stands for; undefined for a folder no key leads to. */
export function segmentOfFolder(name: string): string | undefined {
  return segmentOf(name, folderName)
}

/** The part of a key that a file's name stands for; undefined for a file no key leads to. */
export function segmentOfFile(name: string): string | undefined {
  return segmentOf(name, fileName)
}

/** A fixed name for any key, for files about an object. */
export function keyDigest(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}

function segmentOf(name: string, nameOf: (segment: string) => string): string | undefined {
  try {
    const segment = decodeURIComponent(name.endsWith('.') ? name.slice(0, -1) : name)
    checkKey(segment)
    // A name that some tool or hand put here may decode to a key that has another path: only the key's own path counts.
    return nameOf(segment) === name && !segment.includes('/') ? segment : undefined
  } catch {
    return undefined
  }
}

function folderName(segment: string): string {
  return percent(segment).replaceAll('.', '%2E')
}

function fileName(segment: string): string {
  const name = percent(segment).replace(/^\.|\.$/g, '%2E')
  return name.includes('.') ? name : `${name}.`
}

/** Everything but letters, digits, '-', '_' and '.' as %XX of its UTF-8: no file system folds or reorders what is left. */
function percent(segment: string): string {
  return encodeURIComponent(segment).replace(/[!'()*~]/g, c => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

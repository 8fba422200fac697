import { createHash } from 'node:crypto'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CheckpointError } from './checkpoint-error.js'
import { type ChunkedFile, chunkedFile, chunkRange } from './chunked-file.js'
import { filesBelow, type Room, requireRoom } from './disk.js'
import { type Digest, digestOfFile } from './file-digest.js'
import { gunzipFile } from './gunzip-file.js'
import { inParallel } from './in-parallel.js'
import { checkManifest } from './manifest.js'
import { getListed, listObjects, type ObjectReader, type StoredObject } from './object-reader.js'
import { type Pace, patiently } from './patience.js'
import { filesPrefix, type Published, storedAs } from './published.js'

/** Requests under way at once where nothing else is asked for; with the bytes of one, 128 MiB of memory. */
const PARALLEL = 16

/** How long one request is tried, ms. What was fetched before stays, so giving up costs nothing. */
const PATIENCE_MS = 60_000

/** How often a file that arrived damaged is fetched: the object may have been replaced in the middle. */
const ROUNDS = 2

export interface DownloadOptions extends Pace, Room {
  signal: AbortSignal
  /** Requests under way at once. */
  parallel?: number | undefined
  /** Bytes that are there, of how many; called at the start and after every chunk. */
  onProgress?(done: number, total: number): void
}

/** A file of the manifest on its way. */
interface Arrival {
  /** Path below the checkpoint's folder. */
  path: string
  /** sha256, lower-case hex. */
  sha256: string
  object: StoredObject
  /** Is the object the file, or the file in gzip? */
  isPacked: boolean
  file: ChunkedFile
  /** Chunks that are not there yet. */
  left: number
}

/**
 * Fetches the files of a published form into `folder/files`, where only files appear that have the manifest's sha256. What an
 * earlier run of the program left in `folder` is gone on with; files of no manifest are removed.
 * @param folder exists and is this process' own
 * @returns digest of every file by its path
 * @throws CheckpointError 'unsafe-path', 'absent' when not everything is there yet, 'digest', 'disk-full'; the bucket's error
 */
export async function downloadForm(
  bucket: ObjectReader,
  published: Published,
  folder: string,
  options: DownloadOptions,
): Promise<Map<string, Digest>> {
  const { manifest, window } = published.files
  const { signal } = options
  checkManifest(manifest)
  const wanted = new Map([...manifest].map(([path, sha256]) => [path, sha256.toLowerCase()] as const))
  const digests = await keepWhatFits(join(folder, 'files'), wanted, signal)
  for (let round = 1; digests.size < wanted.size; round++) {
    const prefix = filesPrefix(window, published.kind)
    const objects = await patiently(inner => listObjects(bucket, prefix, inner), signal, PATIENCE_MS, options)
    const arrivals: Arrival[] = []
    for (const [path, sha256] of wanted) {
      if (digests.has(path)) continue
      const object = storedAs(objects, prefix + path)
      if (!object)
        throw new CheckpointError(
          'absent',
          `${prefix}${path} is not in ${bucket.place} (yet), the manifest names it`,
          'later',
        )
      const isPacked = object.key !== prefix + path
      arrivals.push({ path, sha256, object, isPacked, ...(await begin(folder, path, object)) })
    }
    const damaged = await fetchAll(bucket, arrivals, folder, digests, options)
    if (damaged.length > 0 && round === ROUNDS)
      throw new CheckpointError(
        'digest',
        `${damaged[0]!.object.key} in ${bucket.place} does not have the sha256 of the manifest: ask the trainer to publish checkpoint ${window} anew, or wait for the next one`,
        'later',
      )
  }
  await rm(join(folder, 'arriving'), { recursive: true, force: true })
  return digests
}

/** Digests of the files that an earlier run left and that are right; others are removed. */
async function keepWhatFits(
  folder: string,
  wanted: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<Map<string, Digest>> {
  await mkdir(folder, { recursive: true })
  const kept = new Map<string, Digest>()
  for (const path of await filesBelow(folder)) {
    const digest = await digestOfFile(join(folder, path), 'sha256', signal)
    if (digest === `sha256:${wanted.get(path)}`) kept.set(path, digest)
    else await rm(join(folder, path))
  }
  return kept
}

async function begin(folder: string, path: string, object: StoredObject): Promise<Pick<Arrival, 'file' | 'left'>> {
  const arriving = join(folder, 'arriving')
  await mkdir(arriving, { recursive: true })
  // Flat, and never longer than a file name may be.
  const name = createHash('sha256').update(path).digest('hex').slice(0, 32)
  const file = await chunkedFile(join(arriving, name), object)
  return { file, left: file.missing.length }
}

/** Fetches what is missing, verifies each file once it is whole, and returns those that arrived damaged. */
async function fetchAll(
  bucket: ObjectReader,
  arrivals: readonly Arrival[],
  folder: string,
  digests: Map<string, Digest>,
  options: DownloadOptions,
): Promise<Arrival[]> {
  const bytesOf = ({ object }: Arrival, chunk: number) => {
    const { from, to } = chunkRange(chunk, object.bytes)
    return to - from
  }
  const total = arrivals.reduce((sum, { object }) => sum + object.bytes, 0)
  const missing = arrivals.reduce(
    (sum, one) => sum + one.file.missing.reduce((bytes, chunk) => bytes + bytesOf(one, chunk), 0),
    0,
  )
  await requireRoom(folder, missing, options)
  let done = total - missing
  options.onProgress?.(done, total)

  const damaged: Arrival[] = []
  const finish = async (one: Arrival, signal: AbortSignal) => {
    const digest = await settle(one, folder, signal)
    if (digest) digests.set(one.path, digest)
    else damaged.push(one)
  }
  const jobs = arrivals.flatMap<{ one: Arrival; chunk?: number }>(one =>
    one.left === 0 ? [{ one }] : one.file.missing.map(chunk => ({ one, chunk })),
  )
  await inParallel(jobs, options.parallel ?? PARALLEL, options.signal, async ({ one, chunk }, signal) => {
    if (chunk !== undefined) {
      const bytes = await fetchChunk(bucket, one.object, chunk, signal, options)
      await one.file.put(chunk, bytes)
      done += bytes.length
      options.onProgress?.(done, total)
      if (--one.left > 0) return
    }
    await finish(one, signal)
  })
  return damaged
}

async function fetchChunk(
  bucket: ObjectReader,
  object: StoredObject,
  chunk: number,
  signal: AbortSignal,
  pace: Pace,
): Promise<Uint8Array> {
  const range = chunkRange(chunk, object.bytes)
  const content = await patiently(inner => getListed(bucket, object, inner, range), signal, PATIENCE_MS, pace)
  if (content.length === range.to - range.from) return content
  throw new CheckpointError('digest', `${object.key} in ${bucket.place} was replaced while it was fetched`, 'later')
}

/** Moves a whole file to its place if it is what the manifest says; else forgets it. Returns its digest, undefined when it was damaged. */
async function settle(one: Arrival, folder: string, signal: AbortSignal): Promise<Digest | undefined> {
  const { file, isPacked, path, sha256 } = one
  const target = join(folder, 'files', path)
  await mkdir(dirname(target), { recursive: true })
  const whole = isPacked ? `${file.path}.unpacked` : file.path
  const digest = isPacked ? await gunzipFile(file.path, whole, signal) : await digestOfFile(whole, 'sha256', signal)
  const fits = digest === `sha256:${sha256}`
  if (fits) await rename(whole, target)
  await rm(whole, { force: true })
  await file.discard()
  return fits ? digest : undefined
}

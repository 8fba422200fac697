import { createHash } from 'node:crypto'
import { open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Bucket, BucketError, type ObjectFacts } from './bucket.js'
import { dirError, ifPresent, md5OfFile, readSteps } from './dir-files.js'
import { isMd5, multipartEtag } from './expected.js'
import { withRetry } from './retry.js'

/** Bytes of one request: small enough to be there within a request's time limit on a slow link, and little to repeat. */
const STEP_BYTES = 8 * 1024 * 1024
/** One request is tried for this long, ms. What was fetched before stays, so giving up costs nothing. */
const PATIENCE_MS = 60_000
/** Part sizes people use, MiB: an etag of many parts can only be checked when their size is known. The reference's is 50. */
const PART_MIB = [5, 8, 10, 16, 20, 25, 32, 50, 64, 100]

export interface DownloadOptions {
  signal: AbortSignal
  /** Unix ms. */
  now(): number
  /** In [0, 1). */
  random(): number
  /** Bytes that are there, of how many; called at the start and after every request. */
  onProgress?(done: number, total: number): void
  /** Waits between attempts; tests give their own. */
  wait?(ms: number, signal: AbortSignal): Promise<void>
}

/** How far a file was compared with its object: its MD5s fit the etag, or only its size could be. */
export type Checked = 'md5' | 'size'

/**
 * Fetches an object into a file. The file appears whole or not at all; what an earlier call left unfinished is gone on with,
 * if it is of the same object. A file that already is the object is left alone.
 * @param file absolute path; its folder exists
 * @throws BucketError 'no-such-key', 'bad-digest' when the bytes are not those of the etag, 'conflict' when the object was
 *   replaced meanwhile, 'disk-full', …
 */
export async function download(
  bucket: Bucket,
  key: string,
  file: string,
  options: DownloadOptions,
): Promise<{ facts: ObjectFacts; checked: Checked; fetched: number }> {
  const { signal, onProgress } = options
  const bounds = () => ({ ...options, deadlineMs: options.now() + PATIENCE_MS })
  const facts = await withRetry(signal => bucket.head(key, signal), bounds())
  if (!facts) throw new BucketError('no-such-key', `there is no ${key} in ${bucket.place}`, 'never')
  try {
    // Only what the MD5s prove is left alone: a damaged file can have the right size.
    if ((await compare(file, facts, signal)) === 'md5') return { facts, checked: 'md5', fetched: 0 }
    const unfinished = await onlyUnfinished(file, facts)
    const from = Math.min((await sizeOf(unfinished)) ?? 0, facts.bytes)
    onProgress?.(from, facts.bytes)
    for (let at = from; at < facts.bytes; ) {
      const to = Math.min(at + STEP_BYTES, facts.bytes)
      const bytes = await withRetry(signal => bucket.get(key, signal, { from: at, to }), bounds())
      await writeAt(unfinished, bytes, at)
      at += bytes.length
      onProgress?.(at, facts.bytes)
    }
    // Also for an object without a byte.
    if (facts.bytes === 0) await writeAt(unfinished, new Uint8Array(), 0)

    const checked = await compare(unfinished, facts, signal)
    const after = await withRetry(signal => bucket.head(key, signal), bounds())
    if (!checked || after?.etag !== facts.etag) {
      await rm(unfinished, { force: true })
      throw after?.etag === facts.etag
        ? new BucketError('bad-digest', `${key}: what arrived is not what its etag ${facts.etag} says`, 'later')
        : new BucketError('conflict', `${key} was replaced while it was fetched`, 'later')
    }
    await rename(unfinished, file)
    return { facts, checked, fetched: facts.bytes - from }
  } catch (error) {
    throw dirError(error, `writing ${file}`)
  }
}

/** Name of the unfinished file of this very object; those of objects it replaced are removed. */
async function onlyUnfinished(file: string, { etag }: ObjectFacts): Promise<string> {
  const [folder, name] = [dirname(file), basename(file)]
  const mine = `${name}.${createHash('sha256').update(etag).digest('hex').slice(0, 16)}.part`
  for (const other of await readdir(folder))
    if (other !== mine && other.startsWith(`${name}.`) && /^\.[0-9a-f]{16}\.part$/.test(other.slice(name.length)))
      await rm(join(folder, other), { force: true })
  return join(folder, mine)
}

/** By position, not by appending: two downloads of one object then write the same bytes to the same places. */
async function writeAt(path: string, bytes: Uint8Array, at: number): Promise<void> {
  const file = (await ifPresent(open(path, 'r+'))) ?? (await open(path, 'w'))
  try {
    for (let done = 0; done < bytes.length; )
      done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten
    await file.sync()
  } finally {
    await file.close()
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await ifPresent(stat(path)))?.size
}

/** Does the file have the object's bytes? undefined when not. */
async function compare(path: string, facts: ObjectFacts, signal: AbortSignal): Promise<Checked | undefined> {
  if ((await sizeOf(path)) !== facts.bytes) return undefined
  if (isMd5(facts.etag)) return (await md5OfFile(path, signal)) === facts.etag ? 'md5' : undefined
  const count = Number(/^[0-9a-f]{32}-([1-9]\d*)$/.exec(facts.etag)?.[1])
  if (count === 1) return multipartEtag([await md5OfFile(path, signal)]) === facts.etag ? 'md5' : undefined
  for (const partBytes of PART_MIB.map(mib => mib * 1024 * 1024))
    if (Math.ceil(facts.bytes / partBytes) === count && (await etagInParts(path, partBytes, signal)) === facts.etag)
      return 'md5'
  // Some other part size, or a store with etags of its own: then size and an unchanged etag are what there is.
  return 'size'
}

async function etagInParts(path: string, partBytes: number, signal: AbortSignal): Promise<string> {
  const md5s: string[] = []
  let hash = createHash('md5')
  let left = partBytes
  for await (const step of readSteps(path, 0, signal)) {
    for (let at = 0; at < step.length; ) {
      const piece = step.subarray(at, at + left)
      hash.update(piece)
      at += piece.length
      left -= piece.length
      if (left > 0) continue
      md5s.push(hash.digest('hex'))
      hash = createHash('md5')
      left = partBytes
    }
  }
  if (left < partBytes) md5s.push(hash.digest('hex'))
  return multipartEtag(md5s)
}

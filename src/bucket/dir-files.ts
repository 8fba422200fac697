import { createHash } from 'node:crypto'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BucketError } from './bucket.js'

/** How long to wait before writing to a full disk again, ms: someone or some clean-up has to make room first. */
const FULL_RETRY_MS = 2_000

/** Bytes read or written between two looks at the signal. */
const STEP_BYTES = 4 * 1024 * 1024

/** What an error of the file system asks for next. @param doing what was tried, for people */
export function dirError(error: unknown, doing: string): unknown {
  const code = (error as NodeJS.ErrnoException)?.code
  if (error instanceof BucketError || typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return error
  const say = (kind: string, why: string, next: 'later' | 'never', retryAfterMs = 0) =>
    new BucketError(kind, `${doing}: ${why} (${code})`, next, { retryAfterMs, cause: error })
  switch (code) {
    case 'ENOSPC':
      return say('disk-full', 'the disk is full: make room', 'later', FULL_RETRY_MS)
    case 'EDQUOT':
    case 'EFBIG':
      return say('disk-full', 'the quota or file size limit of this user is reached: raise it', 'later', FULL_RETRY_MS)
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return say('access-denied', 'the folder may not be written or read by this user', 'never')
    case 'ENAMETOOLONG':
      return say('invalid-key', 'the path is too long for this file system', 'never')
    case 'ENOTDIR':
    case 'EISDIR':
      return say('server', 'something else than the bucket put files into its folder', 'never')
    default:
      return say('server', 'the file system failed', 'later')
  }
}

/** Did this fail because the file or folder is not there? */
export function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException)?.code === 'ENOENT'
}

/** The result, or undefined when the file or folder is not there. */
export async function ifPresent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

/** Writes a new file so that it is on the disk when this returns; leaves nothing when it fails. */
export async function writeNew(
  path: string,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const file = await open(path, 'wx')
  try {
    try {
      for await (const chunk of chunks) {
        for (let at = 0; at < chunk.length; ) {
          signal.throwIfAborted()
          at += (await file.write(chunk, at, Math.min(STEP_BYTES, chunk.length - at))).bytesWritten
        }
      }
      signal.throwIfAborted()
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

/** A file's bytes from `from` on, in steps of a few MiB. */
export async function* readSteps(path: string, from: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r')
  try {
    for (let at = from; ; ) {
      signal.throwIfAborted()
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(STEP_BYTES), 0, STEP_BYTES, at)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
      at += bytesRead
    }
  } finally {
    await file.close()
  }
}

/** MD5 of a whole file, hex. */
export async function md5OfFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('md5')
  for await (const step of readSteps(path, 0, signal)) hash.update(step)
  return hash.digest('hex')
}

/** Moves a file or folder to its final name and makes the move last; makes the folders above it. @param root where they start */
export async function moveInto(root: string, from: string, to: string): Promise<void> {
  const parent = dirname(to)
  const made = await mkdir(parent, { recursive: true })
  await rename(from, to)
  await syncFolder(parent)
  if (made === undefined) return
  for (let folder = parent; folder !== root && folder !== dirname(folder); folder = dirname(folder))
    await syncFolder(dirname(folder))
}

/** A name in a folder changed: makes that last through a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Tells one content of a path from the next: a rename keeps it, another file or a touched one has another. */
export async function fileTag(path: string): Promise<{ tag: string; bytes: number; mtimeMs: number }> {
  const { ino, mtimeNs, size } = await stat(path, { bigint: true })
  return { tag: `${ino}-${mtimeNs}`, bytes: Number(size), mtimeMs: Number(mtimeNs / 1_000_000n) }
}

/** Removes what crashed processes left half-written: entries of `folder` untouched for `ageMs`. */
export async function sweep(folder: string, names: readonly string[], nowMs: number, ageMs: number): Promise<void> {
  for (const name of names) {
    const path = join(folder, name)
    const facts = await ifPresent(stat(path))
    if (facts && nowMs - facts.mtimeMs > ageMs) await rm(path, { recursive: true, force: true })
  }
}

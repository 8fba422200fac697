import { open, readdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckpointError } from './checkpoint-error.js'

/** Bytes read between two looks at the signal: a digest of them keeps the event loop for some 3 ms. */
const STEP_BYTES = 4 * 1024 * 1024

const ADVICE = 'Make room, or set a smaller checkpoint cache or another folder for it'

/** Does this error say that a file or folder is not there? */
export function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT'
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

/** A failure of the file system as CheckpointError 'disk-full' or 'disk'; any other error as it is. */
export function diskFault(error: unknown, folder: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  // A bucket's errors have codes too, and say what comes next.
  const isOurs = typeof code === 'string' && /^E[A-Z]+$/.test(code) && !('next' in (error as object))
  if (!isOurs || error instanceof CheckpointError) return error
  const say = (kind: 'disk-full' | 'disk', why: string, next: 'later' | 'never') =>
    new CheckpointError(kind, `the checkpoint cache ${folder}: ${why} (${code})`, next, { cause: error })
  switch (code) {
    case 'ENOSPC':
      return say('disk-full', `the disk is full. ${ADVICE}`, 'later')
    case 'EDQUOT':
    case 'EFBIG':
      return say('disk-full', `this user's quota or file size limit is reached. ${ADVICE}`, 'later')
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return say('disk', 'this user may not read or write it: change its owner, or name another folder', 'never')
    case 'ENOTDIR':
    case 'EEXIST':
      return say('disk', 'something else lies where it should be: remove it, or name another folder', 'never')
    default:
      return say('disk', `the file system failed: ${(error as Error).message}`, 'later')
  }
}

/** How much of a disk may be used. */
export interface Room {
  /** Bytes that are left free on the disk. */
  reserveBytes: number
  /** Bytes this user may still write to the file system of a folder; tests give their own. */
  free?(folder: string): Promise<number>
}

/** Refuses what will not fit, before anything of it is written. Throws CheckpointError 'disk-full'. */
export async function requireRoom(folder: string, bytes: number, { reserveBytes, free }: Room): Promise<void> {
  const left = await (free ?? freeBytes)(folder)
  if (left - bytes >= reserveBytes) return
  const gib = (count: number) => `${(count / 1024 ** 3).toFixed(1)} GiB`
  throw new CheckpointError(
    'disk-full',
    `${folder}: ${gib(bytes)} are to come and ${gib(reserveBytes)} to be left free, but only ${gib(left)} are free. ${ADVICE}`,
    'later',
  )
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/** Relative paths of all files below a folder, `/` between their parts; empty when there is no such folder. */
export async function filesBelow(folder: string, above = ''): Promise<string[]> {
  const files: string[] = []
  for (const entry of (await ifPresent(readdir(join(folder, above), { withFileTypes: true }))) ?? []) {
    const path = above === '' ? entry.name : `${above}/${entry.name}`
    if (entry.isDirectory()) files.push(...(await filesBelow(folder, path)))
    else files.push(path)
  }
  return files
}

/** A file's bytes [from, to) in steps of a few MiB; each step is overwritten by the next one. */
export async function* readSteps(
  path: string,
  signal: AbortSignal,
  from = 0,
  to = Number.POSITIVE_INFINITY,
): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r')
  const buffer = Buffer.allocUnsafe(STEP_BYTES)
  try {
    for (let at = from; at < to; ) {
      signal.throwIfAborted()
      const { bytesRead } = await file.read(buffer, 0, Math.min(STEP_BYTES, to - at), at)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
      at += bytesRead
    }
  } finally {
    await file.close()
  }
}

import { randomUUID } from 'node:crypto'
import { link, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { ifPresent } from './disk.js'
import { isAlive, type ProcessIdentity, thisProcess } from './process-identity.js'

/** A lock that is held. */
export interface HeldLock {
  /** Comes when it became another's: stop at once. */
  readonly lost: AbortSignal
  /** Twice is harmless. */
  release(): Promise<void>
}

/** Waits until the lock of this name is ours; at most one on the host holds it. Ends with the signal's reason when that fires. */
export type HostLock = (name: string, signal: AbortSignal) => Promise<HeldLock>

export interface FileLockOptions {
  /** Where the lock files lie; made when absent. On a file system of this host that has hard links. */
  folder: string
  /** Unix ms. */
  now(): number
  /** How often one who waits looks, ms. */
  pollMs?: number
  /** After this a lock of another container, whose process cannot be seen, counts as left behind, ms; default half an hour. 0 where something else keeps containers apart. */
  unseenMs?: number
  /** Told once per wait who holds it. */
  onWaiting?(name: string, pid: number): void
}

const POLL_MS = 200

/** A lock of another container whose process cannot be seen counts as left behind after this, ms: far longer than any download. */
const UNSEEN_MS = 30 * 60_000

/** A lock nobody held for this long is removed, ms: nobody can still be about to take its next number. */
const FORGOTTEN_MS = 24 * 60 * 60_000

const owner = z.object({
  pid: z.int(),
  started: z.string(),
  boot: z.string(),
  pidNamespace: z.string(),
})

/**
 * Locks between the processes of one host, as files. A lock is a series of numbered files: the one with the highest number
 * says who holds it, and stays, emptied, when it is given back. Whoever finds its owner gone or done makes
 * the next number, which only one can: an owner's death is noticed at once, and nothing of a living one is ever removed.
 */
export function fileLock(options: FileLockOptions): HostLock {
  const { folder, now, pollMs = POLL_MS, unseenMs = UNSEEN_MS, onWaiting } = options
  let tidied = false
  return async (name, signal) => {
    await mkdir(folder, { recursive: true })
    const me = await thisProcess()
    if (!tidied) await tidy(folder, now(), me, unseenMs)
    tidied = true
    let waiting = false
    for (;;) {
      signal.throwIfAborted()
      const highest = Math.max(0, ...(await numbersOf(folder, name)))
      const holder = highest === 0 ? undefined : await holderOf(pathOf(folder, name, highest), now(), me, unseenMs)
      if (holder === undefined) {
        const mine = highest + 1
        if (await create(folder, pathOf(folder, name, mine), JSON.stringify(me))) {
          // Lower numbers are removed, so a late look could make one of them again: only the highest counts.
          const numbers = await numbersOf(folder, name)
          const others = Math.max(...numbers) === mine ? numbers.filter(number => number < mine) : [mine]
          for (const number of others) await rm(pathOf(folder, name, number), { force: true })
          if (others[0] !== mine) return held(pathOf(folder, name, mine))
        }
        continue
      }
      if (!waiting) onWaiting?.(name, holder)
      waiting = true
      await sleep(pollMs, undefined, { signal }).catch((error: unknown) => {
        throw signal.aborted ? signal.reason : error
      })
    }
  }
}

/** Removes locks that nobody has held for long: there is one per checkpoint. */
async function tidy(folder: string, nowMs: number, me: ProcessIdentity, unseenMs: number): Promise<void> {
  for (const file of await readdir(folder)) {
    const path = join(folder, file)
    const facts = await ifPresent(stat(path))
    if (facts && nowMs - facts.mtimeMs > FORGOTTEN_MS && (await holderOf(path, nowMs, me, unseenMs)) === undefined)
      await rm(path, { force: true })
  }
}

function held(path: string): HeldLock {
  return {
    // A file of a living process is never taken over, so there is nothing to lose.
    lost: new AbortController().signal,
    // Emptied, not removed: its number must not be given again. This needs no room, even on a full disk.
    release: async () => void (await ifPresent(truncate(path))),
  }
}

/** Pid of whoever holds a lock file; undefined when nobody does any more. */
async function holderOf(
  path: string,
  nowMs: number,
  me: ProcessIdentity,
  unseenMs: number,
): Promise<number | undefined> {
  const text = await ifPresent(readFile(path, 'utf8'))
  const facts = await ifPresent(stat(path))
  // Removed meanwhile: there is a higher one now.
  if (text === undefined || facts === undefined) return undefined
  let parsed: z.infer<typeof owner>
  try {
    parsed = owner.parse(JSON.parse(text))
  } catch {
    // Given back. Or half written by a power cut, which ended its owner too.
    return undefined
  }
  const alive = await isAlive(parsed, me)
  if (alive === 'unknown') return nowMs - facts.mtimeMs < unseenMs ? parsed.pid : undefined
  return alive ? parsed.pid : undefined
}

/** Makes a lock file with its content in one step; false when there is one. */
async function create(folder: string, path: string, content: string): Promise<boolean> {
  const draft = join(folder, `.${randomUUID()}`)
  try {
    await writeFile(draft, content)
    await link(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

function pathOf(folder: string, name: string, number: number): string {
  return join(folder, `${name}.${number}.lock`)
}

async function numbersOf(folder: string, name: string): Promise<number[]> {
  return (await readdir(folder)).flatMap(file => {
    const number =
      file.startsWith(`${name}.`) && file.endsWith('.lock') ? file.slice(name.length + 1, -'.lock'.length) : ''
    return /^[1-9]\d*$/.test(number) ? [Number(number)] : []
  })
}

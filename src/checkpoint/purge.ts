import { readdir } from 'node:fs/promises'
import { ifPresent } from './disk.js'
import { cachedFolder, discard, removeAbandoned, windowOfFolder } from './partial.js'
import { type ProcessIdentity, thisProcess } from './process-identity.js'
import { lastUsedMs, readSeal, sealedBytes } from './seal.js'

/** What was used this recently, by whichever process of the host, stays, ms: a window and its upload, with a margin. Every user says so once a window. */
const IN_USE_MS = 15 * 60_000

export interface PurgeOptions {
  /** The cache's folder. */
  folder: string
  /** Windows of checkpoints that stay: the current one, the next one. */
  keep: ReadonlySet<number>
  /** Bytes that finished checkpoints may take. */
  maxBytes: number
  /** ms since its last use after which a checkpoint goes. */
  maxAgeMs: number
  /** Unix ms. */
  nowMs: number
  /** A window whose unfinished download is gone on with. */
  resuming?: number
}

/** A checkpoint that was removed. */
export interface Purged {
  window: number
  bytes: number
  why: 'age' | 'size'
}

/**
 * Removes what crashed processes left, checkpoints nobody used for long, and, while the others take too much, the one used
 * longest ago. Never one of `keep`, one in use, or the one that a delta of `keep` will be put on: for a window that is not
 * cached yet, the newest below it.
 */
export async function purge(options: PurgeOptions): Promise<Purged[]> {
  const { folder, nowMs } = options
  const me: ProcessIdentity = await thisProcess()
  const names = (await ifPresent(readdir(folder))) ?? []
  if (names.length > 0) await removeAbandoned(folder, me, nowMs, options.resuming)
  const cached: { window: number; bytes: number; usedMs: number }[] = []
  for (const name of names) {
    const window = windowOfFolder(name)
    if (window === undefined) continue
    const path = cachedFolder(folder, window)
    const usedMs = await lastUsedMs(path)
    const seal = await readSeal(path)
    if (usedMs !== undefined) cached.push({ window, bytes: seal ? sealedBytes(seal) : 0, usedMs })
  }
  cached.sort((a, b) => a.usedMs - b.usedMs)
  const needed = neededWindows(
    cached.map(({ window }) => window),
    options.keep,
  )
  let total = cached.reduce((sum, { bytes }) => sum + bytes, 0)
  const purged: Purged[] = []
  for (const { window, bytes, usedMs } of cached) {
    if (needed.has(window) || nowMs - usedMs < IN_USE_MS) continue
    const why = nowMs - usedMs > options.maxAgeMs ? 'age' : total > options.maxBytes ? 'size' : undefined
    if (!why) continue
    await discard(cachedFolder(folder, window))
    total -= bytes
    purged.push({ window, bytes, why })
  }
  return purged
}

function neededWindows(cached: readonly number[], keep: ReadonlySet<number>): Set<number> {
  const needed = new Set(keep)
  for (const window of keep) {
    if (cached.includes(window)) continue
    const below = cached.filter(other => other < window)
    if (below.length > 0) needed.add(Math.max(...below))
  }
  return needed
}

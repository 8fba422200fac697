import { mkdir, rename } from 'node:fs/promises'
import type { CacheOptions, CacheProgress } from './cache-options.js'
import { asVerified, checkAgain, type Kept, lookAt, type Wanted } from './cached.js'
import { CheckpointError, type CheckpointFault } from './checkpoint-error.js'
import { deltaChain } from './delta-chain.js'
import { writeDescription } from './description.js'
import { diskFault } from './disk.js'
import { type Made, type Making, makeFromDeltas, makeFull } from './make.js'
import type { Checkpoint } from './metadata.js'
import type { ObjectReader } from './object-reader.js'
import { cachedFolder, claimPartial, discard, releasePartial, removeAbandoned } from './partial.js'
import { patiently } from './patience.js'
import { thisProcess } from './process-identity.js'
import { type Published, type PublishedCheckpoint, readPublished } from './published.js'
import { type Purged, purge } from './purge.js'
import { scope } from './scope.js'
import { readSeal, touchSeal, writeSeal } from './seal.js'
import type { TrainerCheckpoint } from './trainer.js'

export type { CacheOptions, CacheProgress } from './cache-options.js'

/** How long the metadata of a predecessor is asked for, ms. */
const PATIENCE_MS = 60_000

/** Bytes left free on the disk for everything else on the host: logs, staged groups, the broker. */
const RESERVE_BYTES = 2 * 1024 ** 3

/** A checkpoint in the cache. */
export interface CachedCheckpoint extends Checkpoint {
  /** Computed of the weights in the folder; '' without weights. The metadata of a FULL checkpoint may carry none. */
  weightsHash: string
}

/** The checkpoints of one host. Several processes may use one folder. */
export interface CheckpointCache {
  /**
   * The folder of a checkpoint with verified files: from the cache, put together from deltas, or fetched. Of several
   * processes that want the same one, one works and the others wait for what it makes. What is cut off is gone on with by
   * the next call.
   * @throws CheckpointError, the bucket's error, or the signal's reason; nothing is half there then
   */
  ensure(checkpoint: TrainerCheckpoint, signal: AbortSignal): Promise<CachedCheckpoint>
  /** A checkpoint that `ensure` has given and that lies here as it was verified, without asking the bucket again. */
  atHand(wanted: Wanted): Promise<Checkpoint | undefined>
  /**
   * Removes what crashed processes left and checkpoints beyond age and size, least recently used first; never one of `keep`,
   * one in use on this host, or what a delta of `keep` will need. `ensure` does so itself after it has made one.
   * @param keep windows of checkpoints: the current one, the next one
   */
  purge(keep: Iterable<number>): Promise<Purged[]>
}

/** After these another way to the same weights is not tried. */
const FINAL: ReadonlySet<CheckpointFault> = new Set(['disk-full', 'lock-lost', 'no-bucket', 'unreachable'])

/** Opens a host's cache of checkpoints (layout and checks: one-covenant/grail grail/infrastructure/checkpoint_consumer.py:213-572, 54d6342). */
export function checkpointCache(options: CacheOptions): CheckpointCache {
  const { folder, now } = options
  const tell = (progress: CacheProgress) => options.onProgress?.(progress)
  const folderOf = (window: number) => cachedFolder(folder, window)

  const underLock = async <T>(
    window: number,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const held = await options.lock(`checkpoint-${window}`, signal)
    const inner = scope(signal, held.lost)
    try {
      return await work(inner.signal)
    } catch (cause) {
      if (signal.aborted || !held.lost.aborted) throw cause
      throw new CheckpointError(
        'lock-lost',
        `another process took over making checkpoint ${window}: ask again, it may be there`,
        'later',
        { cause },
      )
    } finally {
      inner.end()
      await held.release()
    }
  }

  /** The checkpoint if it is there as it was verified. */
  const untouched = async (published: PublishedCheckpoint): Promise<Kept | undefined> => {
    const path = folderOf(published.window)
    const look = await lookAt(path, published)
    if (look.state !== 'verified') return undefined
    await touchSeal(path, now())
    return { window: published.window, folder: path, seal: look.seal }
  }

  /** The checkpoint if it is there, read again where that is needed; a damaged one is removed. Under its lock. */
  const verified = async (published: PublishedCheckpoint, signal: AbortSignal): Promise<Kept | undefined> => {
    const { window } = published
    const path = folderOf(window)
    const { state } = await lookAt(path, published)
    if (state !== 'unsure') return untouched(published)
    const seal = (await checkNow(window, signal)) ? undefined : await readSeal(path)
    return seal && { window, folder: path, seal }
  }

  /** Reads a checkpoint again and removes it when it is damaged. Under its lock. Returns whether it was. */
  const checkNow = async (window: number, signal: AbortSignal): Promise<boolean> => {
    tell({ kind: 'checking', window })
    const why = await checkAgain(folderOf(window), signal)
    if (why === undefined) {
      await touchSeal(folderOf(window), now())
      return false
    }
    tell({ kind: 'damaged', window, why })
    await discard(folderOf(window))
    return true
  }

  const provide = async (published: PublishedCheckpoint, signal: AbortSignal): Promise<Kept> =>
    (await untouched(published)) ??
    underLock(
      published.window,
      signal,
      async inner => (await verified(published, inner)) ?? (await obtain(published, inner)),
    )

  const obtain = async (published: PublishedCheckpoint, signal: AbortSignal): Promise<Kept> => {
    const { window, full, delta } = published
    const bucket = await options.bucket(signal)
    if (typeof bucket === 'string') throw new CheckpointError('no-bucket', bucket, 'later')
    const ways: (() => Promise<Kept>)[] = []
    if (full) ways.push(() => fromFull(published, full, bucket, signal))
    if (delta) ways.push(() => fromDeltas(published, delta, bucket, signal))
    // One delta on what is here is a hundredth of the bytes.
    const previous = delta?.files.previousWindow
    if (previous !== undefined && (await readSeal(folderOf(previous)))) ways.reverse()
    const failures: CheckpointError[] = []
    for (const way of ways) {
      try {
        return await way()
      } catch (error) {
        if (!(error instanceof CheckpointError) || FINAL.has(error.code)) throw error
        failures.push(error)
      }
    }
    const [first, ...others] = failures
    if (!first) throw new CheckpointError('absent', `nobody published checkpoint ${window} with metadata`, 'later')
    if (others.length === 0) throw first
    const next = failures.some(failure => failure.next === 'later') ? 'later' : 'never'
    throw new CheckpointError(first.code, failures.map(failure => failure.message).join('; and '), next, {
      cause: first,
    })
  }

  const fromFull = (published: PublishedCheckpoint, full: Published, bucket: ObjectReader, signal: AbortSignal) =>
    finish(published, 'FULL', bucket, signal, making => makeFull(full, making, signal))

  const fromDeltas = async (
    published: PublishedCheckpoint,
    delta: Published,
    bucket: ObjectReader,
    signal: AbortSignal,
  ): Promise<Kept> => {
    for (let damaged = false; ; damaged = true) {
      const { base, links } = await deltaChain<Kept>(delta, {
        published: window => patiently(inner => readPublished(bucket, window, inner), signal, PATIENCE_MS, options),
        cached: async previous =>
          (await untouched(previous)) ?? (await underLock(previous.window, signal, inner => verified(previous, inner))),
        full: previous => provide({ ...previous, delta: undefined }, signal),
      })
      try {
        return await finish(published, 'DELTA', bucket, signal, making => makeFromDeltas(base, links, making, signal))
      } catch (error) {
        if (damaged || !(error instanceof CheckpointError) || error.code !== 'weights-hash') throw error
        // Either the delta is wrong, or the base is not what its files' dates say.
        if (!(await underLock(base.window, signal, inner => checkNow(base.window, inner)))) throw error
      }
    }
  }

  /** Who took over from a process that hung may have been faster: what it made may be in use already, and stays. */
  const placing = async <T>(window: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
    const held = await options.place?.(`place-${window}`, signal)
    try {
      signal.throwIfAborted()
      return await work()
    } finally {
      await held?.release()
    }
  }

  /** Makes a checkpoint in a folder of its own and moves it to its place. */
  const finish = async (
    published: PublishedCheckpoint,
    from: 'FULL' | 'DELTA',
    bucket: ObjectReader,
    signal: AbortSignal,
    make: (making: Making) => Promise<Made>,
  ): Promise<Kept> => {
    const { window, full, delta } = published
    const partial = await claimPartial(folder, window, await thisProcess(), now())
    try {
      const weightsHash = delta?.files.weightsHash || full?.files.weightsHash || ''
      const reserveBytes = options.reserveBytes ?? RESERVE_BYTES
      const made = await make({ ...options, reserveBytes, bucket, partial, weightsHash, onProgress: tell })
      const seal = await writeSeal(made.folder, { window, ...made })
      await touchSeal(made.folder, now())
      return await placing(window, signal, async () => {
        const faster = await untouched(published)
        const path = folderOf(window)
        if (!faster) {
          await discard(path)
          await rename(made.folder, path)
          tell({ kind: 'ready', window, from })
        }
        await discard(partial)
        return faster ?? { window, folder: path, seal }
      })
    } catch (error) {
      await releasePartial(partial)
      throw error
    }
  }

  const clean = async (keep: Iterable<number>, limits: { maxBytes: number; resuming?: number }): Promise<Purged[]> => {
    const kept = new Set([...keep, ...(options.keep?.() ?? [])])
    const { maxAgeMs } = options
    const purged = await purge({ folder, keep: kept, maxAgeMs, nowMs: now(), ...limits })
    for (const one of purged) tell({ kind: 'removed', ...one })
    return purged
  }

  /** As `provide`; when the disk is full, what is not needed makes room, and when that is not enough nothing is left behind. */
  const provideWithRoom = async (published: PublishedCheckpoint, signal: AbortSignal): Promise<Kept> => {
    const { window } = published
    for (let isSecond = false; ; isSecond = true) {
      try {
        return await provide(published, signal)
      } catch (error) {
        signal.throwIfAborted()
        const fault = diskFault(error, folder)
        if (!(fault instanceof CheckpointError) || fault.code !== 'disk-full') throw fault
        if (!isSecond && (await clean([window], { maxBytes: 0, resuming: window })).length > 0) continue
        await removeAbandoned(folder, await thisProcess(), now())
        throw fault
      }
    }
  }

  return {
    async ensure(checkpoint, signal) {
      const { window, metadata } = checkpoint
      signal.throwIfAborted()
      await mkdir(folder, { recursive: true }).catch((error: unknown) => {
        throw diskFault(error, folder)
      })
      const ready = await untouched(checkpoint)
      const kept = ready ?? (await provideWithRoom(checkpoint, signal))
      await writeDescription(kept.folder, checkpoint).catch((error: unknown) => {
        throw diskFault(error, folder)
      })
      if (!ready)
        await clean([window], { maxBytes: options.maxBytes }).catch((error: Error) =>
          // The checkpoint is there; a folder that cannot be removed is told, and fills the disk only slowly.
          tell({ kind: 'not-removed', why: error.message }),
        )
      return { metadata, folder: kept.folder, weightsHash: kept.seal.weightsHash }
    },
    async atHand(wanted) {
      const found = await asVerified(folderOf(wanted.window), wanted, options.profile)
      if (found) await touchSeal(found.folder, now())
      return found
    },
    purge: keep => clean(keep, { maxBytes: options.maxBytes }),
  }
}

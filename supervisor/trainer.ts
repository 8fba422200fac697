import { join } from 'node:path'
import type { Log } from '../actors/actor.js'
import type { GeneratorParts } from '../actors/generator/desk.js'
import { hostLease } from '../actors/generator/host-lease.js'
import type { Broker } from '../nats/index.js'
import { type CheckpointCache, checkpointCache } from '../src/checkpoint/cache.js'
import { fileLock, type HostLock } from '../src/checkpoint/file-lock.js'
import { type TrainerSource, trainerSource } from '../src/checkpoint/trainer.js'
import type { Profile } from '../src/protocol/profile.js'
import { type LoadedConfig, pathFrom } from './config/load.js'
import { type AskChain, trainerBucket } from './trainer-bucket.js'

/** Requests at once for a checkpoint nobody waits for: a quarter of what a window that waits takes, so that its upload has the link. */
const BACKGROUND_PARALLEL = 4
/** With another lock above it the one on the folder is held for two renames: of a container that cannot be seen it counts as left behind after this, ms. */
const PLACING_MS = 60_000
/** A generator that knows the trainer's credentials asks again this long, ms: it must connect first, which takes seconds over a bad link. */
const CONNECT_AND_ASK_MS = 10_000
const GIB = 1024 ** 3
const HOUR_MS = 3_600_000

/** The trainer's checkpoints as this host sees them. */
export interface Trainer {
  source: TrainerSource
  /** Verified folders of checkpoints, shared by all processes of the host. */
  cache(log: Log, use?: CacheUse): CheckpointCache
}

/** How one process uses the host's cache. */
export interface CacheUse {
  /** Under which a checkpoint is made; default: a lock on the folder. */
  lock?: HostLock
  keep?(): Iterable<number>
  /** Leaves the link and the processors to others: nobody waits yet. */
  inBackground?: boolean
}

/**
 * The trainer's checkpoints: which one is mined, and this host's copies.
 * @param chain asked only when the bucket is on chain
 * @param times of its asking
 */
export function openTrainer(
  loaded: LoadedConfig,
  profile: Profile,
  chain: AskChain,
  times?: { askAgainMs: number },
): Trainer {
  const { folder } = loaded
  const { checkpoint, fleet } = loaded.config
  const bucket = trainerBucket(loaded, chain, times)
  const pace = { now: Date.now, random: Math.random }
  const caches =
    checkpoint.cache === '' ? join(pathFrom(folder, fleet.state), 'checkpoints') : pathFrom(folder, checkpoint.cache)
  return {
    source: trainerSource({ bucket, profile, ...pace }),
    cache(log, { lock, keep, inBackground = false } = {}) {
      const brief = lock === undefined ? {} : { unseenMs: PLACING_MS }
      const files = fileLock({ folder: join(caches, '.locks'), now: Date.now, ...brief })
      return checkpointCache({
        folder: caches,
        bucket,
        profile,
        lock: lock ?? files,
        place: files,
        ...(keep ? { keep } : {}),
        ...(inBackground ? { inBackground, parallel: BACKGROUND_PARALLEL } : {}),
        maxBytes: checkpoint.cache_gib * GIB,
        maxAgeMs: checkpoint.cache_hours * HOUR_MS,
        onProgress: progress => log.info({ checkpoint: progress }, `checkpoint ${progress.kind}`),
        ...pace,
      })
    },
  }
}

/** Every question over a connection of its own, which ends with it: a fleet's generators are too many to stay connected. */
export function chainPerAsk({ config }: LoadedConfig): AskChain {
  const { endpoints, genesis } = config.chain
  return async question => {
    const { openChain } = await import('../src/chain/polkadot.js')
    const chain = openChain({ endpoints, ...(genesis === '' ? {} : { genesis }) })
    try {
      return await question(signal => chain.link(signal))
    } finally {
      await chain.close()
    }
  }
}

/**
 * Where a generator gets the trainer's checkpoints: this host's cache, filled from the bucket. For a window that waits, a
 * checkpoint that lies there as it was verified is used at once: the window's events name its weights, a generator that was
 * not restarted would ask nobody either, and the bucket, or the chain for its credentials, may be slow or away. Which
 * checkpoint a window has is the controller's to decide, and to look at again (protocol.md §8.2).
 */
export function generatorCheckpoint(
  loaded: LoadedConfig,
  profile: Profile,
  of: { log: Log; broker: Broker; instance: string; host: string },
): GeneratorParts['checkpoint'] {
  const { log } = of
  const lock = hostLease({ ...of, leaseMs: loaded.config.policy.lease_ms })
  // For as long as the generator lives: so it knows the credentials of the last time.
  const trainer = openTrainer(loaded, profile, chainPerAsk(loaded), { askAgainMs: CONNECT_AND_ASK_MS })
  return async (wanted, signal, { haste, keep }) => {
    if (wanted === undefined) return 'the first window says which one'
    const cache = trainer.cache(log, { lock, keep, inBackground: haste === 'ahead' })
    const verified = haste === 'now' && (await cache.atHand(wanted))
    if (verified) {
      log.info({ checkpoint: wanted.window }, 'checkpoint used as it was verified here')
      return verified
    }
    const published = await trainer.source.at(wanted.window, signal).catch((error: unknown) => {
      signal.throwIfAborted()
      return error as Error
    })
    if (typeof published !== 'string' && !(published instanceof Error)) return cache.ensure(published, signal)
    const kept = await cache.atHand(wanted)
    if (!kept && published instanceof Error) throw published
    if (kept) log.warn({ checkpoint: wanted.window, why: String(published) }, 'checkpoint used as it was verified here')
    return kept ?? String(published)
  }
}

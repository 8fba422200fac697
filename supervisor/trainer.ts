import { join } from 'node:path'
import type { Log } from '../actors/actor.js'
import type { GeneratorParts } from '../actors/generator/desk.js'
import { hostLease } from '../actors/generator/host-lease.js'
import type { Broker } from '../nats/index.js'
import { openBucket } from '../src/bucket/index.js'
import type { Link } from '../src/chain/link.js'
import { readCommitment, readHotkey } from '../src/chain/reads.js'
import { type CheckpointCache, checkpointCache } from '../src/checkpoint/cache.js'
import { fileLock, type HostLock } from '../src/checkpoint/file-lock.js'
import type { OpenBucket } from '../src/checkpoint/object-reader.js'
import { type TrainerSource, trainerSource } from '../src/checkpoint/trainer.js'
import type { Profile } from '../src/protocol/profile.js'
import { parseReadCommitment } from '../src/protocol/read-credentials.js'
import { type LoadedConfig, pathFrom } from './config/load.js'

/** The trainer's uid on the subnet (one-covenant/grail grail/protocol/constants.py:156, 54d6342). */
const TRAINER_UID = 0
/** The region readers sign with (grail/infrastructure/comms.py:238-275, 54d6342). */
const REGION = 'us-east-1'
/** The chain is asked for the trainer's credentials this long, ms. */
const ASK_MS = 20_000
/** Requests at once for a checkpoint nobody waits for: a quarter of what a window that waits takes, so that its upload has the link. */
const BACKGROUND_PARALLEL = 4
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
  /** Puts a lock of its own above the one on the folder. */
  lock?(files: HostLock): HostLock
  keep?(): Iterable<number>
  /** Leaves the link and the processors to others: nobody waits yet. */
  inBackground?: boolean
}

/**
 * The trainer's bucket, read with the credentials it has committed on chain: they are public there by design, and asked
 * for again whenever they are needed, as they may change. `checkpoint.trainer_folder` names a folder with the same layout
 * instead, for rehearsals.
 * @param link a connection to the chain; asked only when the bucket is on chain
 */
export function openTrainer(
  { config, folder }: LoadedConfig,
  profile: Profile,
  link: (signal: AbortSignal) => Promise<Link>,
): Trainer {
  const { checkpoint, chain, fleet } = config
  const bucket: OpenBucket = async () => {
    if (checkpoint.trainer_folder !== '')
      return openBucket({ kind: 'dir', folder: pathFrom(folder, checkpoint.trainer_folder) })
    const signal = AbortSignal.timeout(ASK_MS)
    const now = await link(signal)
    const trainer = await readHotkey(now, chain.netuid, TRAINER_UID, { signal })
    if (trainer === undefined)
      return `subnet ${chain.netuid} has no trainer: nobody is registered as uid ${TRAINER_UID}`
    const bytes = (await readCommitment(now, chain.netuid, trainer, { signal }))?.bytes
    const credentials = bytes && parseReadCommitment(Buffer.from(bytes).toString('utf8'))
    if (!credentials) return `the trainer ${trainer} has no read credentials on chain`
    return openBucket({
      kind: 's3',
      endpoint: `https://${credentials.accountId}.r2.cloudflarestorage.com`,
      region: REGION,
      bucket: credentials.accountId,
      accessKeyId: credentials.readAccessKeyId,
      secretAccessKey: credentials.readSecretAccessKey,
      requestTimeoutMs: config.bucket.request_timeout_ms,
    })
  }
  const pace = { now: Date.now, random: Math.random }
  const caches =
    checkpoint.cache === '' ? join(pathFrom(folder, fleet.state), 'checkpoints') : pathFrom(folder, checkpoint.cache)
  return {
    source: trainerSource({ bucket, profile, ...pace }),
    cache(log, { lock, keep, inBackground = false } = {}) {
      // Above it a lock of the broker keeps containers apart: what this one cannot see need not be waited for.
      const unseen = lock === undefined ? {} : { unseenMs: 0 }
      const files = fileLock({ folder: join(caches, '.locks'), now: Date.now, ...unseen })
      return checkpointCache({
        folder: caches,
        bucket,
        profile,
        lock: lock?.(files) ?? files,
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

/**
 * Where a generator gets the trainer's checkpoints: this host's cache. The chain is asked for the trainer's credentials over a
 * connection that lasts as long as one checkpoint takes.
 */
export function generatorCheckpoint(
  loaded: LoadedConfig,
  profile: Profile,
  of: { log: Log; broker: Broker; instance: string; host: string },
): GeneratorParts['checkpoint'] {
  const { endpoints, genesis } = loaded.config.chain
  const leaseMs = loaded.config.policy.lease_ms
  return async (checkpointWindow, signal, { haste, keep }) => {
    if (checkpointWindow === undefined) return 'the first window says which one'
    const { openChain } = await import('../src/chain/polkadot.js')
    const chain = openChain({ endpoints, ...(genesis === '' ? {} : { genesis }) })
    try {
      const trainer = openTrainer(loaded, profile, asked => chain.link(asked))
      const pointer = await trainer.source.at(checkpointWindow, signal)
      if (typeof pointer === 'string') return pointer
      const lock = (files: HostLock) => hostLease({ ...of, leaseMs, files })
      return await trainer.cache(of.log, { lock, keep, inBackground: haste === 'ahead' }).ensure(pointer, signal)
    } finally {
      await chain.close()
    }
  }
}

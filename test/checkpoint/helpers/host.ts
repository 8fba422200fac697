import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bucket } from '../../../src/bucket/bucket.js'
import {
  type CacheOptions,
  type CacheProgress,
  type CheckpointCache,
  checkpointCache,
} from '../../../src/checkpoint/cache.js'
import { fileLock } from '../../../src/checkpoint/file-lock.js'
import { type TrainerCheckpoint, trainerSource } from '../../../src/checkpoint/trainer.js'
import { GRAIL_V5 } from '../../../src/protocol/profile.js'

const never = new AbortController().signal

/** A cache as a host has it, with everything it told. */
export interface Host extends CheckpointCache {
  folder: string
  told: CacheProgress[]
}

/** @param folder the cache's */
export function host(folder: string, bucket: Bucket | string, over: Partial<CacheOptions> = {}): Host {
  const told: CacheProgress[] = []
  const options: CacheOptions = {
    folder,
    bucket: async () => bucket,
    lock: fileLock({ folder: join(folder, '.locks'), now: Date.now, pollMs: 5 }),
    profile: GRAIL_V5,
    maxBytes: 1024 ** 3,
    maxAgeMs: 24 * 60 * 60_000,
    reserveBytes: 0,
    now: Date.now,
    random: () => 0.5,
    wait: async () => {},
    onProgress: progress => told.push(progress),
    ...over,
  }
  return { ...checkpointCache(options), folder, told }
}

/** What the trainer published of a window; throws when nothing can be mined with it. */
export async function published(bucket: Bucket, window: number): Promise<TrainerCheckpoint> {
  const source = trainerSource({ bucket: async () => bucket, profile: GRAIL_V5, now: Date.now, random: () => 0.5 })
  const found = await source.at(window, never)
  if (typeof found === 'string') throw new Error(found)
  return found
}

/** A bucket that tells which keys were read, and fails where `fault` says so. */
export function watched(
  bucket: Bucket,
  fault: (key: string, range?: { from: number; to: number }) => Error | undefined = () => undefined,
): Bucket & { gets: string[] } {
  const gets: string[] = []
  return {
    ...bucket,
    gets,
    async get(key, signal, range) {
      const error = fault(key, range)
      if (error) throw error
      gets.push(key.replace('grail/checkpoints/', ''))
      return bucket.get(key, signal, range)
    },
  }
}

/** Content of every file below a folder, by path. */
export function contentOf(folder: string): Record<string, Buffer> {
  const files: Record<string, Buffer> = {}
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) {
      const path = join(entry.parentPath, entry.name)
      files[path.slice(folder.length + 1)] = readFileSync(path)
    }
  return files
}

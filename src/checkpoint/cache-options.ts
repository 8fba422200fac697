import type { Profile } from '../protocol/profile.js'
import type { Room } from './disk.js'
import type { HostLock } from './file-lock.js'
import type { MakingProgress } from './make.js'
import type { OpenBucket } from './object-reader.js'
import type { Pace } from './patience.js'
import type { Purged } from './purge.js'

/** What happens in the cache, for logs and dashboards. */
export type CacheProgress =
  | MakingProgress
  /** All files are read again: the host was restarted, or something touched them. */
  | { kind: 'checking'; window: number }
  | { kind: 'damaged'; window: number; why: string }
  | { kind: 'ready'; window: number; from: 'FULL' | 'DELTA' }
  | ({ kind: 'removed' } & Purged)
  /** Old checkpoints could not be removed. */
  | { kind: 'not-removed'; why: string }

export interface CacheOptions extends Pace, Partial<Room> {
  /** The cache's folder, for checkpoints of one trainer; made when absent. */
  folder: string
  bucket: OpenBucket
  /** Under which one process makes a checkpoint, and the others wait. */
  lock: HostLock
  /** Under which it is put in its place, where `lock` may become another's before its holder notices. */
  place?: HostLock
  profile: Profile
  /** Bytes that finished checkpoints may take. */
  maxBytes: number
  /** ms since its last use after which a checkpoint is removed. */
  maxAgeMs: number
  /** Requests to the bucket under way at once, of 8 MiB each; default 16. */
  parallel?: number
  /** Puts weights together at the lowest priority: nobody waits for them. */
  inBackground?: boolean
  /** Windows of further checkpoints that must stay when one was made, e.g. the one that is mined with now. */
  keep?(): Iterable<number>
  onProgress?(progress: CacheProgress): void
}

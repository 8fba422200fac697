import { type Broker, holdLease } from '../../nats/index.js'
import type { HostLock } from '../../src/checkpoint/file-lock.js'
import { scope } from '../../src/checkpoint/scope.js'
import { LEASES } from '../streams.js'

export interface HostLeaseOptions {
  broker: Broker
  /** Name of the host in the inventory: whoever has the same one shares a cache. */
  host: string
  /** Role, host and number: the same after a restart, which then need not wait for its dead self. */
  instance: string
  /** Life of a lease in GRAIL_LEASES, ms. */
  leaseMs: number
  /** Locks the cache's folder between processes that see each other. */
  files: HostLock
}

/**
 * The lock under which one process of a host makes a checkpoint: a lease in the broker, one key per host and checkpoint, and
 * the file lock below it. Both are needed. The lease is what ends: containers of a host that share a cache but not their
 * process numbers cannot tell from a file whether its owner lives; and whoever is cut off from the broker stops at once
 * (`lost`), so that another one goes on with what it fetched. The file lock is what never ends under a living process: a
 * lease may be another's before its holder has noticed, and not everybody who uses the folder has a broker or this name
 * for the host; finished folders are only put in place under it. It comes first: of one process, or of several in one
 * container, a single one then asks for the lease, and none takes it from itself.
 */
export function hostLease({ broker, host, instance, leaseMs, files }: HostLeaseOptions): HostLock {
  return async (name, signal) => {
    const file = await files(name, signal)
    try {
      const lease = await holdLease(broker, LEASES, `fetch.${host}.${name}`, instance, { ttlMs: leaseMs, signal })
      const either = scope(file.lost, lease.lost)
      return {
        lost: either.signal,
        async release() {
          either.end()
          await lease.release()
          await file.release()
        },
      }
    } catch (error) {
      await file.release()
      throw error
    }
  }
}

import { type Broker, holdLease } from '../../nats/index.js'
import type { HostLock } from '../../src/checkpoint/file-lock.js'
import { LEASES } from '../streams.js'

export interface HostLeaseOptions {
  broker: Broker
  /** Name of the host in the inventory: whoever has the same one shares a cache. */
  host: string
  /** Role, host and number: the same after a restart, which then need not wait for its dead self. */
  instance: string
  /** Life of a lease in GRAIL_LEASES, ms. */
  leaseMs: number
}

/**
 * The lock under which one process of a host makes a checkpoint: a lease in the broker, one key per host and checkpoint. It
 * moves on whatever becomes of its holder: one that was killed, hangs, was stopped, or is cut off from the broker loses it
 * within its life, also in a container whose processes the others cannot see; a holder that still runs stops at once
 * (`lost`), and the next one goes on with what it fetched.
 *
 * A lease may be another's before its holder has noticed. So it does not protect the folder: every process writes into a
 * folder of its own, and the cache's file lock keeps them apart where a finished one is put in its place.
 */
export function hostLease({ broker, host, instance, leaseMs }: HostLeaseOptions): HostLock {
  /** The last in line for each name in this process: two of one holder would take the lease from each other. */
  const lines = new Map<string, Promise<void>>()

  return async (name, signal) => {
    const before = lines.get(name) ?? Promise.resolve()
    let leave = () => {}
    const left = new Promise<void>(resolve => {
      leave = resolve
    })
    const last = before.then(() => left)
    lines.set(name, last)
    void last.then(() => lines.get(name) === last && lines.delete(name))
    try {
      await orAborted(before, signal)
      const lease = await holdLease(broker, LEASES, `fetch.${host}.${name}`, instance, { ttlMs: leaseMs, signal })
      return { lost: lease.lost, release: () => lease.release().finally(leave) }
    } catch (error) {
      leave()
      throw error
    }
  }
}

function orAborted(turn: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason as Error)
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    void turn.then(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
  })
}

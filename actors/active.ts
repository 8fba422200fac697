import { holdLease } from '../nats/index.js'
import type { ActorParts } from './actor.js'
import { LEASES } from './streams.js'

/** Roles of which one instance is active and others stand by. */
export type SingleRole = 'controller' | 'aggregator' | 'uploader'

/**
 * Does a role's work whenever this instance holds the role's lease; stands by otherwise. Losing the lease aborts the
 * work's signal; getting it again starts the work anew, from the journal. The same instance after a restart goes on at once.
 * @param leaseMs silence after which another instance may take over
 */
export async function whileActive(
  parts: ActorParts,
  { role, leaseMs, signal }: { role: SingleRole; leaseMs: number; signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { broker, log, instance } = parts
  while (!signal.aborted) {
    let lease: Awaited<ReturnType<typeof holdLease>>
    try {
      lease = await holdLease(broker, LEASES, role, instance, { ttlMs: leaseMs, signal })
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    log.info({ role, fence: lease.fence }, 'active')
    try {
      await work(AbortSignal.any([signal, lease.lost]))
    } catch (error) {
      if (!signal.aborted && !lease.lost.aborted) throw error
    } finally {
      await lease.release().catch(() => {})
    }
    if (lease.lost.aborted && !signal.aborted) log.warn({ role }, 'lease lost: standing by')
  }
}

import { readFile } from 'node:fs/promises'
import { type GpuInventory, readGpus } from '../../src/engine/gpus.js'
import { coresOf } from './placement.js'

/** What a machine has to run generators on. */
export interface Machine {
  gpus: GpuInventory
  /** Cores this process may run on; undefined: nobody says. */
  allowed?: readonly number[]
}

/** A machine nobody looked at: generators run where the inventory says. */
export const UNSEEN: Machine = { gpus: { mode: 'cpu', reason: 'this machine was not looked at' } }

/**
 * Looks at this machine.
 * @param nvidiaSmi by name or path
 */
export async function seenMachine(nvidiaSmi: string): Promise<Machine> {
  const [gpus, status] = await Promise.all([readGpus(nvidiaSmi), readFile('/proc/self/status', 'utf8').catch(() => '')])
  const list = /^Cpus_allowed_list:\s*([\d,-]+)$/m.exec(status)?.[1]
  return { gpus, ...(list === undefined ? {} : { allowed: coresOf(list) }) }
}

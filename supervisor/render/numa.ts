import { spawnSync } from 'node:child_process'
import type { Placement } from './placement.js'

/** How far a process can be bound on this host: to cores and memory of a node, to its cores only, or not at all. */
export type Binding = 'cores-and-memory' | 'cores' | 'none'

export interface Probe {
  binding: Binding
  /** One sentence for people: what was found, and why it is less than wanted. */
  said: string
}

/** A probe that runs longer than this hangs: numactl answers in milliseconds. */
const PROBE_MS = 5_000

/** Runs a command and tells whether it exited with 0; injected so that tests need no numactl. */
export type Runs = (command: string, args: readonly string[]) => boolean

const reallyRuns: Runs = (command, args) =>
  spawnSync(command, [...args], { stdio: 'ignore', timeout: PROBE_MS }).status === 0

/**
 * Probes numactl once. In containers without SYS_NICE memory policies are refused while binding to cores still works
 * (measured: --membind fails with EPERM under a seccomp filter, --cpunodebind does not).
 */
export function probeNuma(node: number, runs: Runs = reallyRuns): Probe {
  const cores = `--cpunodebind=${node}`
  if (runs('numactl', [cores, `--membind=${node}`, 'true']))
    return { binding: 'cores-and-memory', said: `numactl binds cores and memory of node ${node}` }
  if (runs('numactl', [cores, 'true']))
    return { binding: 'cores', said: `numactl may bind cores only: memory policies are refused on this host` }
  if (!runs('numactl', ['--hardware']))
    return { binding: 'none', said: 'numactl does not work here: processes are not bound' }
  return { binding: 'none', said: `numactl cannot bind to node ${node}: processes are not bound` }
}

/** The words that go in front of a generator's command, given what the probe allows. */
export function bindingPrefix(generator: Pick<Placement, 'cores' | 'numa'>, probe: Probe): string[] {
  if (generator.cores !== '' && probe.binding !== 'none')
    return probe.binding === 'cores-and-memory' && generator.numa !== undefined
      ? ['numactl', `--physcpubind=${generator.cores}`, `--membind=${generator.numa}`]
      : ['numactl', `--physcpubind=${generator.cores}`]
  if (generator.numa === undefined || probe.binding === 'none') return []
  return probe.binding === 'cores'
    ? ['numactl', `--cpunodebind=${generator.numa}`]
    : ['numactl', `--cpunodebind=${generator.numa}`, `--membind=${generator.numa}`]
}

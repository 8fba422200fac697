import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type GpuAffinity, type GpuFacts, parseComputeApps, parseInventory, parseTopology } from './gpus/parse.js'

/** A card with where it sits. Cores and NUMA node are undefined where the driver does not say. */
export interface Gpu extends GpuFacts, Partial<GpuAffinity> {}

/** What this host computes with: its cards, or the reason why it works on the CPU. */
export type GpuInventory = { mode: 'gpu'; gpus: Gpu[] } | { mode: 'cpu'; reason: string }

const run = promisify(execFile)
/** A driver in trouble answers after minutes or never. */
const ANSWER_MS = 20_000

export const INVENTORY_ARGS = ['--query-gpu=index,uuid,name,memory.total', '--format=csv,noheader']
export const TOPOLOGY_ARGS = ['topo', '-m']
export const COMPUTE_APPS_ARGS = ['--query-compute-apps=pid,used_memory', '--format=csv,noheader']

async function ask(program: string, args: string[]): Promise<string> {
  // The topology of eight cards with their network cards is 10 kB.
  const { stdout } = await run(program, args, { timeout: ANSWER_MS, maxBuffer: 4 * 1024 * 1024 })
  return stdout
}

/**
 * The host's cards as nvidia-smi sees them, or why there are none; never throws for a machine without a driver.
 * @param program nvidia-smi, by name or path
 */
export async function readGpus(program = 'nvidia-smi'): Promise<GpuInventory> {
  let facts: GpuFacts[]
  try {
    facts = parseInventory(await ask(program, INVENTORY_ARGS))
  } catch (error) {
    const { code, message, stdout } = error as { code?: unknown; message: string; stdout?: string }
    if (code === 'ENOENT')
      return { mode: 'cpu', reason: `${program} is not there, so no NVIDIA driver is installed: the CPU is used` }
    const said = (stdout ?? '').trim().split('\n')[0] || message.split('\n')[0]
    return { mode: 'cpu', reason: `${program} fails (${said}): the CPU is used` }
  }
  if (facts.length === 0) return { mode: 'cpu', reason: `${program} lists no card: the CPU is used` }
  // A card without known cores is still a card: some machines (containers, vGPU) answer no topology.
  const topology = await ask(program, TOPOLOGY_ARGS).then(parseTopology, () => new Map<number, GpuAffinity>())
  return { mode: 'gpu', gpus: facts.map(card => ({ ...card, ...topology.get(card.index) })) }
}

/**
 * Processes that hold memory of any card now, by id; undefined where nvidia-smi does not answer. Inside a container the
 * driver may list none of them, so an empty set proves nothing there.
 */
export async function gpuProcesses(program = 'nvidia-smi'): Promise<ReadonlySet<number> | undefined> {
  try {
    return parseComputeApps(await ask(program, COMPUTE_APPS_ARGS))
  } catch {
    return undefined
  }
}

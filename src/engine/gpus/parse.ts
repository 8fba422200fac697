/** One card. */
export interface GpuFacts {
  /** As nvidia-smi counts, which may change with a reboot: name cards by UUID. */
  index: number
  /** GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, or MIG-… */
  uuid: string
  name: string
  memoryMiB: number
}

/** Where a card sits. */
export interface GpuAffinity {
  /** Cores next to the card, ascending. */
  cores: number[]
  /** Of these cores; the lowest where the driver names several. */
  numaNode: number
}

const UUID = /^(GPU|MIG)-[0-9A-Za-z/-]+$/

/**
 * Of `nvidia-smi --query-gpu=index,uuid,name,memory.total --format=csv,noheader`: "0, GPU-…, NVIDIA H100 80GB HBM3, 81559 MiB".
 * @throws Error naming the line that is not like that
 */
export function parseInventory(text: string): GpuFacts[] {
  return lines(text).map(line => {
    const fields = line.split(',').map(field => field.trim())
    const [index, uuid] = fields
    const memory = /^(\d+) MiB$/.exec(fields.at(-1) ?? '')
    if (fields.length < 4 || !/^\d+$/.test(index!) || !UUID.test(uuid!) || !memory)
      throw new Error(`"${line}" is no line of nvidia-smi's index, uuid, name, memory.total`)
    return { index: Number(index), uuid: uuid!, name: fields.slice(2, -1).join(', '), memoryMiB: Number(memory[1]) }
  })
}

/**
 * Of `nvidia-smi topo -m`: by index of the card. Columns are separated by tabs; "CPU Affinity" and "NUMA Affinity" are
 * found by their headings, since cards and network cards take as many columns as there are. Cards without a core list
 * ("N/A") are left out.
 */
export function parseTopology(text: string): Map<number, GpuAffinity> {
  // Headings are underlined by terminal codes.
  const rows = text
    .replace(new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g'), '')
    .split('\n')
    .map(line => line.split('\t').map(cell => cell.trim()))
  const heading = rows.find(cells => cells.includes('CPU Affinity'))
  const found = new Map<number, GpuAffinity>()
  if (!heading) return found
  const cpuAt = heading.indexOf('CPU Affinity')
  const numaAt = heading.indexOf('NUMA Affinity')
  for (const cells of rows) {
    const card = /^GPU(\d+)$/.exec(cells[0] ?? '')
    const cores = parseList(cells[cpuAt] ?? '')
    if (!card || cells === heading || cores.length === 0) continue
    found.set(Number(card[1]), { cores, numaNode: parseList(cells[numaAt] ?? '')[0] ?? 0 })
  }
  return found
}

/** Of `nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader`: the process ids. */
export function parseComputeApps(text: string): Set<number> {
  return new Set(
    lines(text)
      .map(line => Number(line.split(',')[0]))
      .filter(pid => Number.isInteger(pid) && pid > 0),
  )
}

/** "0-2,8" → 0, 1, 2, 8; anything else → nothing. */
function parseList(text: string): number[] {
  if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) return []
  return text.split(',').flatMap(part => {
    const [from, to = from] = part.split('-').map(Number)
    return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i)
  })
}

function lines(text: string): string[] {
  return text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
}

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface RecordedCards {
  /** Of `nvidia-smi --query-gpu=index,uuid,name,memory.total --format=csv,noheader`. */
  inventory: string
  /** Of `nvidia-smi topo -m`. */
  topology: string
  /** Of `nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader`. */
  apps?: string
}

/** A program `name` in `folder` that answers as nvidia-smi does on a machine with these cards. @returns its path */
export async function recordedNvidiaSmi(folder: string, name: string, cards: RecordedCards): Promise<string> {
  const file = join(folder, name)
  const answers = { inventory: cards.inventory, topology: cards.topology, apps: cards.apps ?? '' }
  for (const [what, text] of Object.entries(answers)) await writeFile(`${file}.${what}`, text)
  const script = `case "$1" in
  topo) cat "${file}.topology" ;;
  --query-gpu=*) cat "${file}.inventory" ;;
  --query-compute-apps=*) cat "${file}.apps" ;;
  *) echo "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help." >&2; exit 6 ;;
esac`
  await writeFile(file, `#!/bin/sh\n${script}\n`, { mode: 0o700 })
  return file
}

/** Eight A100 on two sockets, with a network card between them: tabs, underlined headings and all. */
export const EIGHT_A100: RecordedCards = {
  inventory: Array.from(
    { length: 8 },
    (_, index) => `${index}, GPU-${index}a1b2c3d-0000-1111-2222-333344445555, NVIDIA A100-SXM4-80GB, 81920 MiB\n`,
  ).join(''),
  topology: eightCards(),
}

function eightCards(): string {
  const cards = Array.from({ length: 8 }, (_, index) => `GPU${index}`)
  const heading = ['', ...cards, 'NIC0', 'CPU Affinity', 'NUMA Affinity', 'GPU NUMA ID']
  const rows = cards.map((name, index) => [
    name,
    ...cards.map(other => (other === name ? ' X ' : 'NV12')),
    index < 4 ? 'PXB' : 'SYS',
    index < 4 ? '0-31,64-95' : '32-63,96-127',
    index < 4 ? '0' : '1',
    'N/A',
  ])
  const nic = ['NIC0', ...cards.map((_, index) => (index < 4 ? 'PXB' : 'SYS')), ' X ']
  const underlined = heading.map(text => (text === '' ? '' : `\u001b[4m${text}\u001b[0m`))
  return [
    ...[underlined, ...rows, nic].map(cells => cells.join('\t')),
    ...['', 'Legend:', '', '  X    = Self', '  NV#  = Connection traversing a bonded set of # NVLinks', ''],
  ].join('\n')
}

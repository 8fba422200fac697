import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parseComputeApps, parseInventory, parseTopology } from '../../src/engine/gpus/parse.js'
import { gpuProcesses, readGpus } from '../../src/engine/gpus.js'
import { recordedNvidiaSmi } from '../helpers/nvidia-smi.js'

const INVENTORY = `0, GPU-5a1b2c3d-0000-1111-2222-333344445555, NVIDIA H100 80GB HBM3, 81559 MiB
1, GPU-6a1b2c3d-0000-1111-2222-333344445555, NVIDIA H100 80GB HBM3, 81559 MiB
`
const UNDERLINED = (text: string) => `\u001b[4m${text}\u001b[0m`
const TOPOLOGY = [
  ['', ...['GPU0', 'GPU1', 'NIC0', 'CPU Affinity', 'NUMA Affinity', 'GPU NUMA ID'].map(UNDERLINED)],
  ['GPU0', ' X ', 'NV18', 'PIX', '0-2,8-10', '0', 'N/A'],
  ['GPU1', 'NV18', ' X ', 'SYS', '4-6', '1', 'N/A'],
  ['NIC0', 'PIX', 'SYS', ' X ', '', '', ''],
]
  .map(cells => cells.join('\t'))
  .concat('', 'Legend:', '', '  X    = Self', '  NV#  = Connection traversing a bonded set of # NVLinks', '')
  .join('\n')

t.test('the inventory', async t => {
  t.same(
    parseInventory(INVENTORY),
    [0, 1].map(index => ({
      index,
      uuid: `GPU-${index + 5}a1b2c3d-0000-1111-2222-333344445555`,
      name: 'NVIDIA H100 80GB HBM3',
      memoryMiB: 81_559,
    })),
    'has index, UUID, name and memory of every card',
  )
  t.same(parseInventory('\n'), [], 'may be empty')
  for (const line of ['No devices were found', '0, GPU-1, Tesla, lots', '0, 5a1b2c3d, Tesla T4, 15360 MiB'])
    t.throws(() => parseInventory(line), { message: `"${line}" is no line` }, `"${line}" is refused`)
})

t.test('the topology', async t => {
  t.same(
    parseTopology(TOPOLOGY),
    new Map([
      [0, { cores: [0, 1, 2, 8, 9, 10], numaNode: 0 }],
      [1, { cores: [4, 5, 6], numaNode: 1 }],
    ]),
    'gives cores and NUMA node of every card, whatever stands between',
  )
  t.same(parseTopology('\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tN/A\tN/A'), new Map(), 'may know no cores')
  t.same(parseTopology('Failed to initialize NVML'), new Map(), 'may be none')
})

t.test('processes on the cards', async t => {
  t.same(parseComputeApps('4711, 7130 MiB\n4712, [N/A]\n'), new Set([4711, 4712]))
  t.same(parseComputeApps('No running processes found\n'), new Set())
})

t.test('a host', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'gpus-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const smi = async (name: string, script: string): Promise<string> => {
    const file = join(folder, name)
    await writeFile(file, `#!/bin/sh\n${script}\n`, { mode: 0o700 })
    return file
  }
  const answers = (name: string, topology: string): Promise<string> =>
    recordedNvidiaSmi(folder, name, { inventory: INVENTORY, topology, apps: '12, 3 MiB\n' })
  const whole = await answers('whole', TOPOLOGY)
  t.match(
    await readGpus(whole),
    {
      mode: 'gpu',
      gpus: [
        { index: 0, cores: [0, 1, 2, 8, 9, 10], numaNode: 0 },
        { index: 1, numaNode: 1 },
      ],
    },
    'with a driver has cards with their places',
  )
  t.same(await gpuProcesses(whole), new Set([12]))
  const flat = await readGpus(await answers('flat', ''))
  t.ok(flat.mode === 'gpu' && flat.gpus.every(({ cores }) => cores === undefined), 'without topology has cards still')

  const cases: [title: string, program: string, reason: RegExp][] = [
    ['no nvidia-smi', join(folder, 'absent'), /absent is not there, so no NVIDIA driver is installed: the CPU is used/],
    [
      'a driver that does not answer',
      await smi('broken', 'echo "NVIDIA-SMI has failed because it could not communicate with the driver."; exit 9'),
      /broken fails \(NVIDIA-SMI has failed because.*\): the CPU is used/,
    ],
    ['no card', await smi('none', 'true'), /lists no card/],
  ]
  for (const [title, program, reason] of cases) t.match(await readGpus(program), { mode: 'cpu', reason }, title)
  t.equal(await gpuProcesses(join(folder, 'absent')), undefined, 'without nvidia-smi nobody knows who is on the cards')
})

import t from 'tap'
import type { Gpu, GpuInventory } from '../../src/engine/gpus.js'
import { host } from '../../supervisor/config/host.js'
import { numbered, visibleGpus } from '../../supervisor/gpus.js'
import { coresOf, placeGenerators, shareOf, textOf } from '../../supervisor/render/placement.js'

const generators = (...list: object[]) => host.parse({ name: 'a', generators: list }).generators

/** Two sockets with hyperthreads, two cards on each: the machine most guides describe. */
const SOCKETS = ['0-47,96-143', '48-95,144-191'] as const
const card = (index: number, cores: string | undefined, numaNode: number): Gpu => ({
  index,
  uuid: `GPU-${index}a`,
  name: 'NVIDIA A100-SXM4-80GB',
  memoryMiB: 81_920,
  ...(cores === undefined ? {} : { cores: coresOf(cores), numaNode }),
})
const four: GpuInventory = {
  mode: 'gpu',
  gpus: [0, 1, 2, 3].map(index => card(index, SOCKETS[index < 2 ? 0 : 1], index < 2 ? 0 : 1)),
}

t.test('lists of cores', async t => {
  for (const text of ['', '3', '0-2,8', '0-47,96-143']) t.equal(textOf(coresOf(text)), text, `"${text}"`)
  t.equal(textOf(shareOf(coresOf('0-7,16-23'), 2, 1)), '4-7,20-23', 'a share keeps both threads of a core')
  const shares = [0, 1, 2].flatMap(n => shareOf(coresOf('0-9'), 3, n))
  t.same(shares, coresOf('0-9'), 'shares are everything, once')
  const even = coresOf('0,2,4,6,8,10')
  t.same(
    [0, 1, 2].map(n => textOf(shareOf(even, 3, n))),
    ['0,2', '4,6', '8,10'],
    'sockets whose cores are numbered in turn are shared as well',
  )
  t.same(
    [0, 1].map(n => textOf(shareOf(coresOf('0,2-7,16,18-23'), 2, n))),
    ['0,2-4,18-20', '5-7,16,21-23'],
    'single cores beside long runs are shared among themselves',
  )
})

t.test('what the inventory leaves open is found out', async t => {
  const { generators: placed, said } = placeGenerators(
    generators({ gpus: [0] }, { gpus: [1] }, { gpus: ['GPU-2a'] }, { gpus: [3] }),
    four,
  )
  t.same(
    placed,
    [
      { visible: ['GPU-0a'], cores: '0-23,96-119', numa: 0 },
      { visible: ['GPU-1a'], cores: '24-47,120-143', numa: 0 },
      { visible: ['GPU-2a'], cores: '48-71,144-167', numa: 1 },
      { visible: ['GPU-3a'], cores: '72-95,168-191', numa: 1 },
    ],
    'cards by UUID, cores beside them and shared by nobody, their NUMA node',
  )
  t.equal(said.length, 4)
  t.equal(said[0], 'GPU 0: NVIDIA A100-SXM4-80GB, 80 GiB, GPU-0a; NUMA node 0, cores 0-47,96-143', 'and said')
})

t.test('several cards in one generator', async t => {
  const split = placeGenerators(generators({ gpus: { generate: [0, 1], prove: [2, 3] } }), four)
  t.same(
    split.generators,
    [{ visible: ['GPU-0a', 'GPU-1a', 'GPU-2a', 'GPU-3a'], cores: SOCKETS[0], numa: 0 }],
    'it runs beside the cards it generates on',
  )
  const whole = placeGenerators(generators({ gpus: [0, 1, 2, 3] }), four)
  t.same(whole.generators[0]?.cores, '0-191', 'cards on two nodes: all their cores')
  t.notOk('numa' in whole.generators[0]!, '… and no node')
  t.match(whole.said.at(-1), /cards on NUMA nodes 0, 1: its memory is not bound/)
})

t.test('what was written by hand is kept', async t => {
  const { generators: placed } = placeGenerators(generators({ gpus: [0], cores: '0-3', numa: 1 }, { gpus: [1] }), four)
  t.same(placed[0], { visible: ['GPU-0a'], cores: '0-3', numa: 1 })
  t.equal(placed[1]?.cores, '4-47,96-143', 'and nobody else is bound to the same cores')
  t.throws(
    () => placeGenerators(generators({ gpus: [2], cores: '96-127' }), four),
    /generator 0 is bound to cores 96-127, but 96-127 are not beside its cards, which have 48-95,144-191/,
    'unless it is on the other socket',
  )
  t.throws(() => placeGenerators(generators({ gpus: [4] }), four), /to use GPU 4, but nvidia-smi lists 0 \(GPU-0a\), 1/)
  t.throws(() => placeGenerators(generators({ gpus: ['GPU-9'] }), four), /to use GPU GPU-9/)
  t.same(
    placeGenerators(generators({ gpus: ['MIG-7'] }), four).generators,
    [{ visible: ['MIG-7'], cores: '' }],
    'a slice of a card is taken at its word',
  )
})

t.test('a card that two names mean', async t => {
  t.throws(
    () => placeGenerators(generators({ gpus: [0] }, { gpus: ['GPU-0a'] }), four),
    { name: 'ConfigError', message: /card GPU-0a is to generate for two generators: give it to one/ },
    'is found when the cards are known',
  )
  t.throws(
    () => placeGenerators(generators({ gpus: [0] }, { gpus: { generate: [1], prove: ['GPU-0a'] } }), four),
    /card GPU-0a is to generate for generator 0 and to prove for generator 1/,
  )
  t.throws(
    () => placeGenerators(generators({ gpus: { generate: [0], prove: ['GPU-0a'] } }), four),
    /generator 0 names card GPU-0a in two ways/,
  )
})

t.test('machines that say less', async t => {
  const bare: GpuInventory = { mode: 'gpu', gpus: [card(0, undefined, 0)] }
  const placed = placeGenerators(generators({ gpus: [0] }), bare)
  t.same(placed.generators, [{ visible: ['GPU-0a'], cores: '' }], 'without topology nothing is bound')
  t.match(placed.said, [/nvidia-smi does not say where/, /no cores of its own are known/])
  t.equal(
    placeGenerators(generators({ gpus: [0] }, { gpus: [1] }), four, coresOf('0-7')).generators[1]?.cores,
    '4-7',
    'in a container its cores are shared, not the machine’s',
  )
  t.equal(placeGenerators(generators({ gpus: [3] }), four, coresOf('0-7')).generators[0]?.cores, '')
  const absent: GpuInventory = { mode: 'cpu', reason: 'nvidia-smi is not there: the CPU is used' }
  t.same(
    placeGenerators(generators({ gpus: [0], numa: 1 }, {}), absent),
    {
      generators: [
        { visible: ['0'], cores: '', numa: 1 },
        { visible: [], cores: '' },
      ],
      said: ['nvidia-smi is not there: the CPU is used; cards, cores and NUMA nodes are as the inventory has them'],
    },
    'without nvidia-smi that is said, and the inventory’s word taken',
  )
  t.same(placeGenerators(generators({}), absent).said, [], 'a fleet without cards asks for none')
})

t.test('what each process of a generator sees', async t => {
  const [split] = generators({ gpus: { generate: [0, 1], prove: [2, [3, 4]] } })
  t.same(
    visibleGpus(split!, 'GPU-a,GPU-b,GPU-c,GPU-d,GPU-e'),
    { generate: ['GPU-a', 'GPU-b'], prove: [['GPU-c'], ['GPU-d', 'GPU-e']] },
    'is named as the supervisor’s file names it',
  )
  t.same(visibleGpus(split!, undefined).prove, [['2'], ['3', '4']], 'or as the inventory does')
  const [shared] = generators({ gpus: { generate: [0, 1], prove: [1, 0] } })
  t.same(visibleGpus(shared!, 'GPU-a,GPU-b').prove, [['GPU-b'], ['GPU-a']], 'a card may do both')
  t.same(visibleGpus(generators({})[0]!, ''), { generate: [], prove: [] }, 'nothing, on a CPU')

  const read = async () => four
  t.same(await numbered(['GPU-2a', '1', 'MIG-7'], read), ['2', '1', 'MIG-7'], 'servers are told numbers')
  const asked = async (): Promise<GpuInventory> => Promise.reject(new Error('asked'))
  t.same(await numbered(['0', '3'], asked), ['0', '3'], 'and nvidia-smi is asked only when it has to be')
})

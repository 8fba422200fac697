import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig } from '../../supervisor/config/load.js'
import { hostOf } from '../../supervisor/from-inventory.js'
import { seenMachine } from '../../supervisor/render/machine.js'
import { bindingPrefix, type Probe, probeNuma } from '../../supervisor/render/numa.js'
import { placeGenerators } from '../../supervisor/render/placement.js'
import { natsConfigText, supervisorText } from '../../supervisor/render/render.js'
import { renderSupervisor } from '../../supervisor/render/supervisord.js'
import { EIGHT_A100, recordedNvidiaSmi } from '../helpers/nvidia-smi.js'

const folder = mkdtempSync(join(tmpdir(), 'grail-render-'))
t.teardown(() => rmSync(folder, { recursive: true }))

function inventory(text: string) {
  const file = join(folder, 'grail.toml')
  writeFileSync(file, text)
  return loadConfig(file, {})
}

const BOTH: Probe = { binding: 'cores-and-memory', said: 'both' }

t.test('numactl is probed once and degrades to cores, then to nothing, saying so', t => {
  const cases: [string, (args: string) => boolean, Probe['binding'], RegExp][] = [
    ['everything works', () => true, 'cores-and-memory', /cores and memory of node 1/],
    ['memory policies are refused', args => !args.includes('--membind'), 'cores', /memory policies are refused/],
    ['the node does not exist', args => args.includes('--hardware'), 'none', /cannot bind to node 1/],
    ['there is no numactl', () => false, 'none', /does not work here/],
  ]
  for (const [what, works, binding, said] of cases) {
    const probe = probeNuma(1, (_, args) => works(args.join(' ')))
    t.equal(probe.binding, binding, what)
    t.match(probe.said, said)
  }
  t.end()
})

t.test('a generator is bound as far as the host allows', t => {
  const cases: [string, Parameters<typeof bindingPrefix>[0], Probe['binding'], string][] = [
    ['by node', { cores: '', numa: 1 }, 'cores-and-memory', 'numactl --cpunodebind=1 --membind=1'],
    ['by node, cores only', { cores: '', numa: 1 }, 'cores', 'numactl --cpunodebind=1'],
    ['by cores and node', { cores: '0-7', numa: 0 }, 'cores-and-memory', 'numactl --physcpubind=0-7 --membind=0'],
    ['by cores', { cores: '0-7' }, 'cores', 'numactl --physcpubind=0-7'],
    ['not at all', { cores: '', numa: 1 }, 'none', ''],
    ['nothing was asked for', { cores: '' }, 'cores-and-memory', ''],
  ]
  for (const [what, generator, binding, expected] of cases)
    t.equal(bindingPrefix(generator, { binding, said: '' }).join(' '), expected, what)
  t.end()
})

t.test('supervisord gets one program per actor and GPU, all in the group grail', t => {
  const loaded = inventory(`[fleet]
state = "state folder"
[[hosts]]
name = "gpu1"
roles = ["controller", "aggregator"]
generators = [{ gpus = [0], numa = 0 }, { gpus = [2, 3], numa = 1 }, {}]`)
  const host = hostOf(loaded, undefined)
  const text = renderSupervisor({
    config: loaded.config,
    host,
    placements: placeGenerators(host.generators, { mode: 'cpu', reason: 'nobody looked' }),
    node: '/usr/bin/node',
    program: '/opt/grail fleet/main.js',
    configFile: loaded.file,
    stateFolder: join(folder, 'state folder'),
    probe: () => BOTH,
    local: [],
  })
  t.match(text, /\[program:aggregator\][^[]*MALLOC_ARENA_MAX="1"/, 'the aggregator’s memory is kept in one piece')
  t.match(text, /\[group:grail\]\nprograms=controller,aggregator,generator-0,generator-1,generator-2\n/)
  t.match(
    text,
    /\[program:generator-1\]\ncommand=numactl --cpunodebind=1 --membind=1 \/usr\/bin\/node '\/opt\/grail fleet\/main\.js' actor generator/,
  )
  t.match(text, /environment=CUDA_DEVICE_ORDER="PCI_BUS_ID",CUDA_VISIBLE_DEVICES="2,3",/)
  t.match(text, /CUDA_VISIBLE_DEVICES="",/, 'a CPU generator sees no card')
  t.notMatch(text, /password|secret/i)
  // The real supervisord is the judge of its file.
  const file = join(folder, 'supervisord.conf')
  writeFileSync(file, text)
  const read = spawnSync(
    'python3',
    [
      '-c',
      `import configparser,sys; c=configparser.RawConfigParser(strict=True); c.read(sys.argv[1]); print(len(c.sections()))`,
      file,
    ],
    { encoding: 'utf8' },
  )
  t.equal(read.stdout.trim(), '10', read.stderr)
  t.end()
})

t.test('a fleet of several hosts is asked which one this is', t => {
  const loaded = inventory('[[hosts]]\nname = "a"\n[[hosts]]\nname = "b"')
  t.throws(() => hostOf(loaded, undefined), /choose one of a, b with --host/)
  t.throws(() => hostOf(loaded, 'c'), /no host is called "c"/)
  t.equal(hostOf(loaded, 'b').name, 'b')
  t.throws(() => hostOf(inventory(''), undefined), /describes no host/)
  t.end()
})

t.test('nats-server gets one file alone and one per host of a cluster', t => {
  const alone = inventory('[nats]\nservers = ["nats://127.0.0.1:4300"]\n[[hosts]]\nname = "a"')
  t.match(natsConfigText(alone, hostOf(alone, 'a')), /port: 4300/)
  const three = inventory(
    '[nats]\nservers = ["nats://a:4222", "nats://b:4222", "nats://c:4222"]\nreplicas = 3\n[[hosts]]\nname = "b"\n[[hosts]]\nname = "x"',
  )
  const text = natsConfigText(three, hostOf(three, 'b'))
  t.match(text, /a:6222/)
  t.match(text, /c:6222/)
  t.throws(() => natsConfigText(three, hostOf(three, 'x')), /names no server on host x/)
  t.end()
})

t.test('cards, cores and nodes come from this machine’s nvidia-smi', async t => {
  const smi = await recordedNvidiaSmi(folder, 'nvidia-smi', EIGHT_A100)
  const seen = await seenMachine(smi)
  t.ok((seen.allowed?.length ?? 1) > 0, 'with the cores this process may run on')
  const machine = { gpus: seen.gpus }
  const loaded = inventory('[[hosts]]\nname = "gpu1"\npreset = "4b"')
  const text = supervisorText(loaded, hostOf(loaded, 'gpu1'), [], machine)
  t.match(
    text,
    /^; GPU 5: NVIDIA A100-SXM4-80GB, 80 GiB, GPU-5a1b2c3d-\S+; NUMA node 1, cores 32-63,96-127$/m,
    'what was found is said at its head',
  )
  for (const index of [0, 7])
    t.match(text, new RegExp(`CUDA_VISIBLE_DEVICES="GPU-${index}a1b2c3d-0000-1111-2222-333344445555"`), 'by UUID')

  const host = hostOf(loaded, 'gpu1')
  const bound = renderSupervisor({
    config: loaded.config,
    host,
    placements: placeGenerators(host.generators, seen.gpus),
    node: '/usr/bin/node',
    program: '/opt/main.js',
    configFile: loaded.file,
    stateFolder: folder,
    probe: () => BOTH,
    local: [],
  })
  const commands = [...bound.matchAll(/\[program:generator-\d\]\ncommand=numactl (\S+ \S+) /g)].map(
    ([, words]) => words,
  )
  t.equal(commands.length, 8, 'a generator for each card')
  t.same(
    [commands[0], commands[7]],
    ['--physcpubind=0-7,64-71 --membind=0', '--physcpubind=56-63,120-127 --membind=1'],
    'bound to cores of its own beside its card, and to their memory',
  )

  const none = await seenMachine(join(folder, 'absent'))
  const blind = supervisorText(loaded, hostOf(loaded, 'gpu1'), [], none)
  t.match(blind, /^; \S+ is not there, so no NVIDIA driver is installed: the CPU is used; cards, cores and/m)
  t.match(blind, /CUDA_VISIBLE_DEVICES="7"/, 'without it the inventory’s word is taken')
})

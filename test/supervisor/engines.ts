import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { LIMITS } from '../../src/engine/server/options.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { loadConfig } from '../../supervisor/config/load.js'
import { engineOf, lanesOf, servedOptions } from '../../supervisor/engines.js'
import { openLog } from '../../supervisor/log.js'
import { PATIENCE_MS } from '../../supervisor/shutdown.js'

// What the inventory's cards come to for a generator's server and its proof workers.

const folder = mkdtempSync(join(tmpdir(), 'grail-engines-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

const UUIDS = Array.from({ length: 8 }, (_, i) => `GPU-${i}a`)

function circumstances(text: string, env: Record<string, string> = {}) {
  const file = join(folder, 'grail.toml')
  writeFileSync(file, text)
  const loaded = loadConfig(file, {})
  const generator = loaded.config.hosts[0]!.generators[0]!
  const log = openLog('error', {})
  // The other way round than when the supervisor's file was rendered: numbers are not what they were.
  const gpus = [...UUIDS].reverse().map((uuid, index) => ({ uuid, index, name: 'NVIDIA A100', memoryMiB: 81_920 }))
  const readGpus = async () => ({ mode: 'gpu' as const, gpus })
  return { loaded, of: { profile: GRAIL_V5, instance: 'generator-a-0', log, env, generator, readGpus } }
}
const served = (engine: string, host: string, env: Record<string, string> = {}) => {
  const { loaded, of } = circumstances(`[engine]\n${engine}\n[[hosts]]\nname = "a"\n${host}`, env)
  return servedOptions(loaded, of)
}
const SPLIT = 'preset = "8b-split"'

t.test('a server and its proof workers see the cards they were given, and nothing else of the environment', async t => {
  const env = { CUDA_VISIBLE_DEVICES: UUIDS.join(','), PATH: '/usr/bin', R2_WRITE_SECRET_ACCESS_KEY: 'verysecret' }
  const options = await served('name = "sglang"\nprogram = "venv"', SPLIT, env)
  t.same(
    options.start?.env,
    { PATH: '/usr/bin', CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: '7,6,5,4' },
    'the server those that generate, by the numbers they have now: it takes no UUIDs',
  )
  t.equal(options.start?.tensorParallel, 4, 'split over all of them')
  t.equal(options.start?.memoryShare, 0.9, 'whose memory nothing else needs')
  t.same(
    options.provers.map(prover => prover.env?.CUDA_VISIBLE_DEVICES),
    ['GPU-4a', 'GPU-5a', 'GPU-6a', 'GPU-7a'],
    'a proof worker each of the others',
  )
  t.notMatch(JSON.stringify(options), /verysecret/)
  t.match(options.logFile, { file: join(folder, '.grail', 'log', 'generator-a-0.server.log'), backups: 5 })
})

t.test('one list of cards', async t => {
  const options = await served('name = "sglang"\nprogram = "venv"', 'generators = [{ gpus = [2, 3] }]')
  t.match(options.start, { env: { CUDA_VISIBLE_DEVICES: '2,3' }, tensorParallel: 2 })
  t.notOk('memoryShare' in options.start!, 'leaves room for the proof worker on the same cards')
  t.match(options.provers, [{ env: { CUDA_VISIBLE_DEVICES: '2,3' } }], 'which is one, spread over them')
  const own = 'name = "sglang"\nprogram = "venv"\ntensor_parallel = 1\nmemory_share = 0.4\nattention = "sdpa"'
  const chosen = await served(own, 'generators = [{ gpus = [2, 3] }]')
  t.match(chosen.start, { tensorParallel: 1, memoryShare: 0.4 }, 'what the inventory says goes')
  t.match(chosen.provers, [{ attention: 'sdpa' }])
})

t.test('a generator that no supervisor started takes the inventory’s names', async t => {
  const options = await served('name = "vllm"\nprogram = "venv"', SPLIT)
  t.equal(options.start?.env?.CUDA_VISIBLE_DEVICES, '0,1,2,3')
  t.match(options.provers[0], { env: { CUDA_VISIBLE_DEVICES: '4' } })
})

t.test('without cards everything is on the CPU', async t => {
  const options = await served('name = "sglang"\nprogram = "venv"', 'generators = [{}]')
  t.match(options.start, { env: { CUDA_VISIBLE_DEVICES: '' }, tensorParallel: 1 })
  t.match(options.provers, [{ env: { CUDA_VISIBLE_DEVICES: '' } }], 'with one proof worker')
})

t.test('what cannot be', async t => {
  await t.rejects(
    served('name = "sglang"\nprogram = "venv"\ntensor_parallel = 4', 'generators = [{ gpus = [0, 1] }]'),
    { name: 'ConfigError', message: /tensor_parallel is 4, but a generator has 2 cards/ },
  )
  const split = circumstances(`[engine]\nname = "transformers"\n[[hosts]]\nname = "a"\n${SPLIT}`)
  await t.rejects(
    engineOf(split.loaded, split.of),
    { name: 'ConfigError', message: /transformers engine generates and proves with one model/ },
    'the transformers engine has no proof workers of their own',
  )
  const spread = circumstances('[engine]\nname = "transformers"\n[[hosts]]\nname = "a"\npreset = "14b"')
  t.equal((await engineOf(spread.loaded, spread.of)).name, 'transformers', 'but may be spread over several cards')
})

t.test('a server that ignores SIGTERM is killed well before its actor is', async t => {
  const spareMs = 5_000
  t.ok(LIMITS.termMs + spareMs <= PATIENCE_MS, `${LIMITS.termMs} ms of ${PATIENCE_MS} ms`)
})

t.test('groups in flight', async t => {
  const engine = (text: string) => circumstances(`[engine]\n${text}\n[[hosts]]\nname = "a"\ngenerators = [{}]`).loaded
  t.equal(lanesOf(engine('name = "transformers"').config.engine), 1, 'one where groups are made one by one')
  t.equal(lanesOf(engine('name = "vllm"').config.engine), 16, 'up to sixteen where they are batched, as measured')
  t.equal(lanesOf(engine('name = "vllm"\nlanes = 5').config.engine), 5, 'or as many as the inventory says')
})

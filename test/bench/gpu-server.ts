import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { gpuServerBenchmark, serverToMeasure } from '../../bench/gpu/gpu-server.js'
import { measureServed } from '../../bench/gpu/served.js'
import { standInServer } from '../helpers/generation-server-control.js'
import { cpuWorker, tinyCheckpoints } from '../helpers/tiny-model.js'
import { workerPythonAbsent } from '../helpers/worker-python.js'

/** Importing torch takes seconds to a minute, several times. */
t.setTimeout(240_000)

const folder = mkdtempSync(join(tmpdir(), 'bench-gpu-server-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('which server is measured the environment says', async t => {
  const cases: [env: Record<string, string>, found: ReturnType<typeof serverToMeasure>][] = [
    [{}, undefined],
    [{ GRAIL_VLLM: '' }, undefined],
    [{ GRAIL_VLLM: '/v' }, { name: 'vllm', program: '/v', extraArgs: [] }],
    [
      { GRAIL_SGLANG: 's', GRAIL_SGLANG_ARGS: '--a 1  --b' },
      { name: 'sglang', program: resolve('s'), extraArgs: ['--a', '1', '--b'] },
    ],
  ]
  for (const [env, found] of cases) t.same(serverToMeasure(env), found, JSON.stringify(env))
})

t.test('without a server, or without a card, nothing is measured, and the reason is said', async t => {
  const server = { name: 'vllm', program: '/v', extraArgs: [] } as const
  const cases: [title: string, benchmark: ReturnType<typeof gpuServerBenchmark>, says: RegExp][] = [
    ['no server', gpuServerBenchmark(undefined), /^skipped: GRAIL_SGLANG or GRAIL_VLLM names/],
    ['no card', gpuServerBenchmark(server, join(folder, 'absent')), /^skipped: no NVIDIA GPU/],
  ]
  for (const [title, benchmark, says] of cases) {
    const said: string[] = []
    const draw = (): void => void t.fail('nothing is drawn')
    const figures = await benchmark.run({ long: false, repetitions: 1, draw, say: line => said.push(line) })
    t.same(figures, [], title)
    t.match(said, [says])
  }
})

t.test(
  'what is measured beside a server on a card is measured on a CPU, too',
  { skip: workerPythonAbsent },
  async t => {
    const server = await standInServer(folder)
    const [first, second] = await tinyCheckpoints(
      { folder: join(folder, '30'), bigram: true },
      { folder: join(folder, '60'), bigram: true, window: 60, modelName: 'second' },
    )
    const said: string[] = []
    const measured = await measureServed({
      shape: {
        name: 'tiny',
        config: { model_type: 'qwen3', vocab_size: 259, eos_token_id: 2, max_position_embeddings: 512 },
        ...{ maxTokens: 40, promptTokens: 20 },
      },
      checkpoints: [first, second],
      prover: cpuWorker,
      server: { name: 'vllm', program: server.program, extraArgs: [], env: server.env },
      folder: join(folder, 'state'),
      ...{ findMs: 1, measureMs: 3_000, replays: 1 },
      gpuProcesses: async () => undefined,
      say: line => said.push(line),
    })
    t.same(measured.canaries, [1, 1], said.join('\n'))
    t.ok(measured.limit >= 1)
    t.ok(measured.tokensPerSecond > 0 && measured.tokensPerSecondAlone > 0 && measured.rolloutsPerSecond > 0)
    t.ok(measured.idleShare >= 0 && measured.idleShare < 1)
    t.ok(measured.startSeconds > 0 && measured.swapSeconds > 0)
    t.ok(measured.generateSeconds.length > 0 && measured.proveSeconds.every(seconds => seconds > 0))
    t.equal(measured.replayed[0]?.exact, 1)
  },
)

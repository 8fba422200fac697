import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  OtherWeights,
  type SampleRequest,
  type ServerTemplate,
  ServerTrouble,
} from '../../src/engine/server/dialect.js'
import { sglangDialect } from '../../src/engine/server/sglang-dialect.js'
import { saysOutOfMemory, saysPortTaken } from '../../src/engine/server/signs.js'
import { vllmDialect } from '../../src/engine/server/vllm-dialect.js'

const folder = await mkdtemp(join(tmpdir(), 'launch-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
const venv = join(folder, 'venv')
await mkdir(join(venv, 'bin'), { recursive: true })
await writeFile(join(venv, 'bin', 'python'), '')

const template: ServerTemplate = {
  program: venv,
  extraArgs: ['--attention-backend', 'fa3'],
  env: { CUDA_VISIBLE_DEVICES: 'GPU-1', PATH: '/usr/bin' },
  tensorParallel: 2,
  memoryShare: 0.7,
  contextLength: 12_288,
  sequences: 260,
  cacheFolder: '/state/generator-0.cache',
}
const model = { folder: '/models/60', version: '60/abc' }

t.test('how servers are started', async t => {
  const sglang = sglangDialect.launch(template, model, 4711)
  t.equal(sglang.program, join(venv, 'bin', 'python'), 'from a virtual environment by its Python')
  t.equal(
    sglang.args.join(' '),
    '-m sglang.launch_server --model-path /models/60 --host 127.0.0.1 --port 4711 --dtype bfloat16 --tp-size 2 ' +
      '--mem-fraction-static 0.7 --context-length 12288 --max-running-requests 260 --sampling-defaults openai ' +
      '--weight-version 60/abc --attention-backend fa3',
  )
  t.match(sglang.env, { CUDA_VISIBLE_DEVICES: 'GPU-1', HF_HUB_OFFLINE: '1', TRITON_CACHE_DIR: /^\/state\/generator-0/ })
  t.notOk('HOME' in sglang.env, 'nothing is inherited')

  const vllm = vllmDialect(false).launch({ ...template, program: '/opt/bin/vllm' }, model, 4711)
  t.equal(
    [vllm.program, ...vllm.args].join(' '),
    '/opt/bin/vllm serve /models/60 --served-model-name grail --host 127.0.0.1 --port 4711 --dtype bfloat16 ' +
      '--tensor-parallel-size 2 --gpu-memory-utilization 0.7 --max-model-len 12288 --max-num-seqs 260 ' +
      '--generation-config vllm --attention-backend fa3',
  )
  t.notOk('VLLM_SERVER_DEV_MODE' in vllm.env, 'the development mode is off')
  const reloading = vllmDialect(true).launch({ ...template, program: '/usr/bin/python3.12' }, model, 4711)
  t.match(reloading.args.slice(0, 4), ['-m', 'vllm.entrypoints.cli.main', 'serve', '/models/60'])
  t.ok(
    reloading.args.includes('--enable-sleep-mode') && reloading.env.VLLM_SERVER_DEV_MODE === '1',
    'but for reloading',
  )
})

const request: SampleRequest = {
  id: 'r',
  promptIds: Int32Array.of(5, 6),
  generation: { maxTokens: 3, temperature: 0.7, topP: 0.9, topK: 0, repetitionPenalty: 1.1 },
  eosTokenId: 2,
  logprobs: false,
  version: '60/abc',
}

t.test('what is asked', async t => {
  const bodies: unknown[] = []
  const asker = (answer: object) => async (_: string, path: string, body?: unknown) => {
    bodies.push([path, body])
    return { status: 200, text: JSON.stringify(answer) }
  }
  const meta_info = { finish_reason: { type: 'stop', matched: 2 }, weight_version: '60/abc' }
  const sampled = await sglangDialect.sample(asker({ output_ids: [7, 2], meta_info }), request)
  t.same(sampled, { ids: Int32Array.of(7, 2), logprobs: [] })
  const choice = { finish_reason: 'length', stop_reason: null, token_ids: [7, 8, 9] }
  t.same((await vllmDialect(false).sample(asker({ choices: [choice] }), request)).ids, Int32Array.of(7, 8, 9))
  t.match(
    bodies,
    [
      [
        '/generate',
        {
          input_ids: [5, 6],
          sampling_params: { max_new_tokens: 3, temperature: 0.7, top_p: 0.9, top_k: -1, repetition_penalty: 1.1 },
        },
      ],
      [
        '/v1/completions',
        {
          prompt: [5, 6],
          ...{ max_tokens: 3, temperature: 0.7, top_p: 0.9, top_k: -1, repetition_penalty: 1.1, n: 1 },
          ...{ ignore_eos: true, stop_token_ids: [2], return_token_ids: true },
        },
      ],
    ],
    'all five parameters, max_tokens as it is, ids in',
  )
})

t.test('what is answered', async t => {
  const sample = (status: number, answer: unknown) => () =>
    sglangDialect.sample(
      async () => ({ status, text: typeof answer === 'string' ? answer : JSON.stringify(answer) }),
      request,
    )
  const stopped = (finish_reason: object, weight_version?: string) => ({
    output_ids: [7],
    meta_info: { finish_reason, weight_version },
  })
  const later: [title: string, status: number, answer: unknown][] = [
    ['a full queue', 503, 'The request queue is full.'],
    ['too many requests', 429, 'slow down'],
    ['an aborted request', 200, stopped({ type: 'abort', message: 'Abort in waiting queue' })],
    ['something else', 200, { text: 'hello' }],
    ['half an answer', 200, '{"output_ids": [1, 2'],
  ]
  for (const [title, status, answer] of later)
    await t.rejects(sample(status, answer)(), ServerTrouble, `${title}: may succeed later`)
  const memory = await sample(400, 'torch.OutOfMemoryError: CUDA out of memory.')().catch((error: unknown) => error)
  t.ok(memory instanceof ServerTrouble && memory.outOfMemory, 'out of memory, whatever the status')
  await t.rejects(
    sample(400, "The input (13000 tokens) is longer than the model's context length")(),
    { name: 'EngineError', next: 'never' },
    'a request that is wrong: never',
  )
  await t.rejects(sample(200, stopped({ type: 'stop', matched: 40 }))(), {
    name: 'EngineError',
    message: /by 40, which/,
  })
  const other = await sample(200, stopped({ type: 'length' }, '30/abc'))().catch((error: unknown) => error)
  t.ok(other instanceof OtherWeights, 'weights of another version')
})

t.test('signs in a log', async t => {
  for (const line of [
    'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.',
    'RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.',
    'ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`',
  ])
    t.ok(saysOutOfMemory(line), line)
  t.notOk(saysOutOfMemory('memory usage: 12 GB, available 60 GB'))
  for (const line of [
    "[Errno 98] error while attempting to bind on address ('127.0.0.1', 30000): address already in use",
    'OSError: [Errno 98] Address already in use',
  ])
    t.ok(saysPortTaken(line), line)
  t.notOk(saysPortTaken('INFO: Uvicorn running on http://127.0.0.1:30000'))
})

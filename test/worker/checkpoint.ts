import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readCheckpoint } from '../../src/checkpoint/folder.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { runWorkerModule, runWorkerPython, workerPythonAbsent } from '../helpers/worker-python.js'

t.setTimeout(240_000)

await t.test('a checkpoint folder made of a model', { skip: workerPythonAbsent }, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'checkpoint-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const model = join(folder, 'tiny-model')
  await runWorkerPython('tiny_checkpoint.py', model, '1', 'whole')
  const target = join(folder, 'made', 'checkpoint')
  const make = (...changes: string[]) =>
    runWorkerModule('worker.checkpoint', '--to', target, '--model', model, '--max-tokens', '64', ...changes)

  t.match(await make(), /checkpoint: .*checkpoint is ready: tiny-model, weights [0-9a-f]{32}/, 'says what it made')
  const read = await readCheckpoint(target, GRAIL_V5)
  t.match(
    read,
    {
      folder: target,
      metadata: {
        window: 0,
        modelName: 'tiny-model',
        weightsHash: /^[0-9a-f]{32}$/,
        environment: 'gsm8k',
        environmentParams: { split: 'test' },
        generation: { maxTokens: 64, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 },
        thinkingMode: 'instructed',
      },
    },
    'the fleet reads it as a checkpoint',
  )
  const written = await readFile(join(target, 'metadata.json'), 'utf8')
  const { file_manifest: manifest } = JSON.parse(written) as { file_manifest: object }
  const files = await readdir(target)
  t.same(new Set([...Object.keys(manifest), 'metadata.json']), new Set(files), 'its manifest names every file')
  t.match(await readFile(join(target, 'chat_template.jinja'), 'utf8'), /im_start/, 'instructed mode has its template')

  t.match(await make(), /is there/, 'made twice it is left as it is')
  await t.rejects(
    make('--temperature', '0.9'),
    { name: 'Error', stderr: /holds another checkpoint \(differs in generation_params\)/ },
    'another one is refused',
  )
  t.equal(await readFile(join(target, 'metadata.json'), 'utf8'), written, 'and nothing is changed')

  const broken = join(folder, 'broken')
  await mkdir(broken)
  await writeFile(join(broken, 'config.json'), '{}')
  await t.rejects(
    runWorkerModule('worker.checkpoint', '--to', join(folder, 'made', 'none'), '--model', broken),
    { name: 'Error', code: 1, stderr: /broken has no tokenizer\.json/ },
    'a folder that is no model fails',
  )
  t.same(await readdir(join(folder, 'made')), ['checkpoint'], 'and leaves nothing half-made behind')
})

await t.test('the tokenizer of the packaged model', { skip: workerPythonAbsent }, async t => {
  const texts = ['<|im_start|>user\nHi<|im_end|>', '1250 eggs']
  const { config, tokens } = JSON.parse(await runWorkerPython('gguf_tokenizer.py', JSON.stringify(texts))) as {
    config: Record<string, string>
    tokens: string[][]
  }
  t.equal(config.eos_token, '<|im_end|>')
  t.same(
    tokens[0],
    ['<|im_start|>', 'user', 'Ċ', 'Hi', '<|im_end|>'],
    'has the chat marks as single tokens, and adds no BOS',
  )
  t.same(tokens[1], ['1', '2', '5', '0', 'Ġeggs'], 'cuts numbers into digits')
})

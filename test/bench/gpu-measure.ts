import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { randomCheckpoints } from '../../bench/gpu/checkpoint.js'
import { measureGpu } from '../../bench/gpu/measure.js'
import type { Shape } from '../../bench/gpu/shape.js'
import { cpuWorker } from '../helpers/tiny-model.js'
import { workerPython, workerPythonAbsent } from '../helpers/worker-python.js'

/** Importing torch takes seconds to a minute, four times. */
t.setTimeout(240_000)

const folder = mkdtempSync(join(tmpdir(), 'bench-gpu-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** Qwen3 as small as it gets with its tokenizer. */
const TINY: Shape = {
  name: 'a tiny Qwen3',
  config: {
    model_type: 'qwen3',
    vocab_size: 151_936,
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 8,
    max_position_embeddings: 512,
    tie_word_embeddings: true,
    eos_token_id: 151_645,
    pad_token_id: 151_643,
  },
  maxTokens: 40,
  promptTokens: 20,
}

t.test('what is measured on a card is measured on a CPU, too', { skip: workerPythonAbsent }, async t => {
  const said: string[] = []
  const say = (line: string): void => void said.push(line)
  const env = { PATH: process.env.PATH ?? '/usr/bin:/bin' }
  const checkpoints = await randomCheckpoints({ shape: TINY, python: workerPython, env, folder })
  t.not(checkpoints[0].metadata.weightsHash, checkpoints[1].metadata.weightsHash, 'each has weights of its own')
  // As on a card: several sequences in one forward.
  const worker = { ...cpuWorker, env, proofRows: 4 }
  const measured = await measureGpu({ shape: TINY, checkpoints, worker, repetitions: 1, say })
  for (const [what, values] of Object.entries(measured)) t.equal(values.length, what === 'canaries' ? 2 : 1, what)
  t.same(measured.canaries, [1, 1], said.join('\n'))
  t.ok(measured.rolloutsPerSecond[0]! > 0 && measured.provedPerSecond[0]! > 0 && measured.swapSeconds[0]! > 0)
  t.ok(measured.proofShare[0]! > 0 && measured.proofShare[0]! < 1)
  for (const { exact, sketchApart, logprobApart } of [...measured.replayed, ...measured.provedReplayed]) {
    t.equal(exact, 1, 'every sequence is replayed bit for bit')
    t.ok(sketchApart >= 0 && sketchApart < 1, 'a validator that batches otherwise accepts the sketches')
    t.ok(logprobApart >= 0 && logprobApart < 1, '… and the log-probabilities')
  }
})

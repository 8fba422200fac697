import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { workerPython } from '../../test/helpers/worker-python.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { type Figure, figure } from '../report/figure.js'
import { cardEnvironment, findBench, watchMemory } from './card.js'
import { randomCheckpoints } from './checkpoint.js'
import { measureGpu } from './measure.js'
import { canaryFigure, replayFigures } from './replay-figures.js'
import { LONG_TOKENS, QWEN3_4B } from './shape.js'

/**
 * The engine of this package on one NVIDIA GPU, at a real model's shape with random weights. On a machine without one it
 * says why nothing is measured, and gives no figures.
 */
export function gpuBenchmark(nvidiaSmi = 'nvidia-smi', python: string = workerPython): Benchmark {
  async function run({ long, repetitions, say }: Circumstances): Promise<Figure[]> {
    const found = await findBench(nvidiaSmi, python)
    if (typeof found === 'string') {
      say(`skipped: ${found}`)
      return []
    }
    const { card, attention } = found
    const shape = long ? { ...QWEN3_4B, maxTokens: LONG_TOKENS } : QWEN3_4B
    if (attention === 'sdpa') say('flash-attn is not installed: SDPA proves in its place, which no validator does')
    const folder = mkdtempSync(join(tmpdir(), 'grail-gpu-'))
    const memory = watchMemory(nvidiaSmi, card)
    try {
      const worker = { python, env: cardEnvironment(card), device: 'cuda', attention }
      say(`making two checkpoints of ${shape.name}'s shape`)
      const checkpoints = await randomCheckpoints({ shape, python, env: worker.env, folder })
      const measured = await measureGpu({ shape, checkpoints, worker, repetitions, say })
      const where = `${card.name}, ${shape.name}, ${attention}, completions of ${shape.maxTokens}`
      return [
        figure({
          id: 'gpu.rollouts',
          title: `rollouts of the transformers engine (${where})`,
          unit: '/s',
          values: measured.rolloutsPerSecond,
        }),
        figure({ id: 'gpu.tokens', title: '  tokens', unit: '/s', values: measured.tokensPerSecond }),
        figure({
          id: 'gpu.proofs.share',
          title: '  share of the time in proofs',
          unit: '%',
          values: measured.proofShare.map(share => share * 100),
        }),
        ...replayFigures('gpu', 'transformers engine', measured.replayed),
        canaryFigure('gpu', 'transformers engine', measured.canaries),
        figure({ id: 'gpu.swap', title: '  change of weights', unit: 's', values: measured.swapSeconds }),
        figure({
          id: 'gpu.prover',
          title: '  proofs of the proof worker alone, lengths mixed',
          unit: '/s',
          values: measured.provedPerSecond,
        }),
        ...replayFigures('gpu.prover', 'proof worker', measured.provedReplayed),
        figure({ id: 'gpu.memory', title: '  most of the card’s memory in use', unit: 'GiB', values: [memory.stop()] }),
      ]
    } finally {
      memory.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
  return { name: 'gpu', about: 'generation, proofs, exact replay and change of weights on an NVIDIA GPU', run }
}

/** GRAIL_PYTHON names another Python than the one setup makes. */
export const gpu: Benchmark = gpuBenchmark('nvidia-smi', process.env.GRAIL_PYTHON || workerPython)

import { workerPython } from '../../test/helpers/worker-python.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { type Figure, figure } from '../report/figure.js'
import { findBench } from './card.js'
import { measureGpu } from './measure.js'
import { onCard } from './on-card.js'
import { canaryFigure, replayFigures } from './replay-figures.js'

/**
 * The engine of this package on one NVIDIA GPU, at a real model's shape with random weights. On a machine without one it
 * says why nothing is measured, and gives no figures.
 */
export function gpuBenchmark(nvidiaSmi = 'nvidia-smi', python: string = workerPython): Benchmark {
  async function run(circumstances: Circumstances): Promise<Figure[]> {
    const { repetitions, say } = circumstances
    const found = await findBench(nvidiaSmi, python)
    return onCard(found, 'gpu', { nvidiaSmi, python }, circumstances, async ({ where, ...on }) => {
      const measured = await measureGpu({ ...on, repetitions, say })
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
      ]
    })
  }
  return { name: 'gpu', about: 'generation, proofs, exact replay and change of weights on an NVIDIA GPU', run }
}

/** GRAIL_PYTHON names another Python than the one setup makes. */
export const gpu: Benchmark = gpuBenchmark('nvidia-smi', process.env.GRAIL_PYTHON || workerPython)

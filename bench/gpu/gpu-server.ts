import { resolve } from 'node:path'
import { gpuProcesses } from '../../src/engine/gpus.js'
import { workerPython } from '../../test/helpers/worker-python.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { type Figure, figure } from '../report/figure.js'
import { findBench } from './card.js'
import { onCard } from './on-card.js'
import { canaryFigure, replayFigures } from './replay-figures.js'
import { measureServed, type ServerName } from './served.js'

/** The first measurements of in-flight.ts end within this with completions of the day's length, ms. */
const DAY = { findMs: 60_000, measureMs: 20_000 }
/** The same with completions eight times as long. */
const LONG = { findMs: 480_000, measureMs: 120_000 }

/** The generation server that is measured. */
export interface ServerToMeasure {
  name: ServerName
  /** A virtual environment's folder, a Python, or another executable that takes the server's own arguments. */
  program: string
  extraArgs: readonly string[]
}

/** GRAIL_SGLANG or GRAIL_VLLM names the program, GRAIL_SGLANG_ARGS or GRAIL_VLLM_ARGS what it is given besides. */
export function serverToMeasure(env: Readonly<Record<string, string | undefined>>): ServerToMeasure | undefined {
  for (const name of ['sglang', 'vllm'] as const) {
    const variable = `GRAIL_${name.toUpperCase()}`
    const program = env[variable]
    const extraArgs = (env[`${variable}_ARGS`] ?? '').split(' ').filter(Boolean)
    if (program) return { name, program: resolve(program), extraArgs }
  }
  return undefined
}

/** A generation server and the proof worker beside it on one NVIDIA GPU, at a real model's shape with random weights. */
export function gpuServerBenchmark(
  server: ServerToMeasure | undefined,
  nvidiaSmi = 'nvidia-smi',
  python: string = workerPython,
): Benchmark {
  async function run(circumstances: Circumstances): Promise<Figure[]> {
    const { long, repetitions, say } = circumstances
    if (!server) {
      say('skipped: GRAIL_SGLANG or GRAIL_VLLM names the virtual environment of a server')
      return []
    }
    const found = await findBench(nvidiaSmi, python)
    return onCard(found, 'gpu-server', { nvidiaSmi, python }, circumstances, async ({ where, worker, ...on }) => {
      const measured = await measureServed({
        ...{ ...on, say, replays: repetitions },
        ...(long ? LONG : DAY),
        prover: worker,
        server: { ...server, env: worker.env },
        gpuProcesses: () => gpuProcesses(nvidiaSmi),
      })
      return [
        figure({
          id: 'gpu-server.rollouts',
          title: `rollouts of ${server.name} with a proof worker on its card (${where})`,
          unit: '/s',
          values: [measured.rolloutsPerSecond],
        }),
        figure({
          id: 'gpu-server.tokens',
          title: '  tokens',
          unit: '/s',
          values: [measured.tokensPerSecond],
          baseline: { name: 'the server alone, as many groups at once', values: [measured.tokensPerSecondAlone] },
        }),
        figure({ id: 'gpu-server.groups', title: '  groups at once, as found', unit: '', values: [measured.limit] }),
        figure({
          id: 'gpu-server.idle',
          title: `${server.name}: idle while groups were wanted`,
          unit: '%',
          values: [measured.idleShare * 100],
          goal: { of: 'value', is: 'at most', limit: 2 },
        }),
        figure({
          id: 'gpu-server.generate',
          title: '  generation of a group',
          unit: 's',
          values: measured.generateSeconds,
        }),
        figure({ id: 'gpu-server.prove', title: '  proofs of a group', unit: 's', values: measured.proveSeconds }),
        ...replayFigures('gpu-server', server.name, measured.replayed),
        canaryFigure('gpu-server', server.name, measured.canaries),
        figure({
          id: 'gpu-server.start',
          title: '  start until server and worker agree',
          unit: 's',
          values: [measured.startSeconds],
        }),
        figure({
          id: 'gpu-server.swap',
          title: '  change of weights until they agree again',
          unit: 's',
          values: [measured.swapSeconds],
        }),
      ]
    })
  }
  return {
    name: 'gpu-server',
    about: 'SGLang or vLLM with the proof worker beside it on an NVIDIA GPU: throughput, idleness, exact replay',
    run,
  }
}

/** GRAIL_PYTHON names another Python than the one setup makes. */
export const gpuServer: Benchmark = gpuServerBenchmark(
  serverToMeasure(process.env),
  'nvidia-smi',
  process.env.GRAIL_PYTHON || workerPython,
)

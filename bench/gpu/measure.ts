import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import type { GroupReply } from '../../src/engine/engine.js'
import { proofWorkers } from '../../src/engine/server/proof-workers.js'
import type { WorkerOptions } from '../../src/engine/transformers/child.js'
import { transformersEngine } from '../../src/engine/transformers.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { type Replayed, replay } from './replay.js'
import { requestOf, sings } from './request.js'
import type { Shape } from './shape.js'

export interface GpuRun {
  shape: Shape
  /** Of the shape; weights are changed from one to the other. */
  checkpoints: readonly [Checkpoint, Checkpoint]
  worker: Omit<WorkerOptions, 'profile'>
  repetitions: number
  say(line: string): void
}

/** One entry per repetition. */
export interface Measured {
  rolloutsPerSecond: number[]
  tokensPerSecond: number[]
  /** Proofs' share of the time a group takes. */
  proofShare: number[]
  swapSeconds: number[]
  replayed: Replayed[]
  /** 1 where a canary sang, after the start and after every swap. */
  canaries: number[]
  /** The proof worker by itself, on completions of many lengths. */
  provedPerSecond: number[]
  provedReplayed: Replayed[]
}

const never = new AbortController().signal
const SHORTEST = 32

export const tokensOf = ({ completions }: GroupReply): number =>
  completions.reduce((sum, { completionIds }) => sum + completionIds.length, 0)

export async function secondsOf(task: Promise<unknown>): Promise<number> {
  const beganMs = performance.now()
  await task
  return (performance.now() - beganMs) / 1_000
}

/** Lengths from the shortest to the longest completion, in no order: what sorting by length is for. */
function manyLengths({ shape }: GpuRun, repetition: number): Int32Array[] {
  const { groupSize } = GRAIL_V5
  return Array.from({ length: groupSize }, (_, i) => {
    const step = (7 * i + repetition) % groupSize
    const length = Math.round(SHORTEST + ((shape.maxTokens - SHORTEST) * step) / (groupSize - 1))
    return Int32Array.from(
      { length },
      (_, j) => ((2_000 + 104_729 * (i + 1) * (j + 1)) % 100_000) % shape.config.vocab_size,
    )
  })
}

/** The transformers engine, then the proof worker alone, on one card (or a CPU) at a model's shape. */
export async function measureGpu(of: GpuRun): Promise<Measured> {
  const { shape, checkpoints, worker, repetitions, say } = of
  const measured: Measured = {
    ...{ rolloutsPerSecond: [], tokensPerSecond: [], proofShare: [], swapSeconds: [] },
    ...{ replayed: [], canaries: [], provedPerSecond: [], provedReplayed: [] },
  }
  const engine = transformersEngine({ profile: GRAIL_V5, ...worker })
  try {
    await engine.start(checkpoints[0], never)
    // Its group warms the card up: kernels are chosen, memory is taken.
    measured.canaries.push((await sings(engine, shape, checkpoints[0], say)) ? 1 : 0)
    for (let repetition = 1; repetition <= repetitions; repetition++) {
      const request = requestOf(shape, checkpoints[0], repetition)
      const group = await engine.generate(request, never)
      const { generate, prove } = group.seconds
      const tokens = tokensOf(group)
      measured.rolloutsPerSecond.push(group.completions.length / (generate + prove))
      measured.tokensPerSecond.push(tokens / (generate + prove))
      measured.proofShare.push(prove / (generate + prove))
      measured.replayed.push(await replay(engine.verify, request, group))
      say(`group ${repetition}: ${tokens} tokens, ${generate.toFixed(2)} s generated, ${prove.toFixed(2)} s proved`)
    }
    for (let repetition = 1; repetition <= repetitions; repetition++) {
      const next = checkpoints[repetition % 2]!
      measured.swapSeconds.push(await secondsOf(engine.load(next, never)))
      measured.canaries.push((await sings(engine, shape, next, say)) ? 1 : 0)
    }
  } finally {
    await engine.close()
  }

  const provers = proofWorkers([worker], GRAIL_V5, say, Math.random)
  try {
    await provers.load(checkpoints[0], never)
    for (let repetition = 0; repetition <= repetitions; repetition++) {
      const request = requestOf(shape, checkpoints[0], repetition)
      const group = await provers.prove(request, manyLengths(of, repetition), never)
      // The first one warms up.
      if (repetition === 0) continue
      measured.provedPerSecond.push(group.completions.length / group.seconds.prove)
      measured.provedReplayed.push(await replay(provers.verify, request, group))
      say(`proofs ${repetition}: 16 in ${group.seconds.prove.toFixed(2)} s`)
    }
  } finally {
    await provers.close()
  }
  return measured
}

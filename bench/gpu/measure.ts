import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import { canary } from '../../src/engine/canary.js'
import type { GroupReply, GroupRequest, VerifyReply, VerifyRequest } from '../../src/engine/engine.js'
import { proofWorkers } from '../../src/engine/server/proof-workers.js'
import type { WorkerOptions } from '../../src/engine/transformers/child.js'
import { transformersEngine } from '../../src/engine/transformers.js'
import { packageRoot } from '../../src/package-root.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import type { Shape } from './shape.js'

export interface GpuRun {
  shape: Shape
  worker: Omit<WorkerOptions, 'profile'>
  /** For two checkpoints of the shape. */
  folder: string
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
  /** Share of the sequences whose sketches and log-probabilities were repeated bit for bit. */
  exact: number[]
  /** 1 where a canary sang, after the start and after every swap. */
  canaries: number[]
  /** The proof worker by itself, on completions of many lengths. */
  provedPerSecond: number[]
  provedExact: number[]
}

const run = promisify(execFile)
const never = new AbortController().signal
const MAKE_MS = 600_000
/** Nothing here takes longer on a card that works, ms. */
const DEADLINE_MS = 900_000
const SHORTEST = 32
const TOKENIZER = join(packageRoot, 'node_modules', '@lenml', 'tokenizer-qwen2_5', 'models')
const COEFFICIENTS = Int8Array.from({ length: GRAIL_V5.topk }, (_, j) => 17 * j - 127)

async function makeCheckpoint({ shape, worker, folder }: GpuRun, window: number): Promise<Checkpoint> {
  const target = join(folder, `checkpoint-${window}`)
  const script = join(packageRoot, 'bench', 'gpu', 'random-checkpoint.py')
  const { stdout } = await run(
    worker.python,
    [script, target, String(window), TOKENIZER, JSON.stringify(shape.config)],
    {
      timeout: MAKE_MS,
      env: { ...worker.env, PYTHONPATH: join(packageRoot, 'src', 'engine') },
    },
  )
  return {
    folder: target,
    metadata: {
      window,
      modelName: `${shape.name} with random weights`,
      weightsHash: stdout.trim().split('\n').at(-1)!,
      environment: 'gsm8k',
      environmentParams: {},
      generation: { maxTokens: shape.maxTokens, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 },
      thinkingMode: 'instructed',
    },
  }
}

function requestOf({ shape }: GpuRun, { metadata }: Checkpoint, seed: number): GroupRequest {
  const { vocab_size } = shape.config
  return {
    profile: GRAIL_V5.id,
    checkpointWindow: metadata.window,
    promptIds: Int32Array.from({ length: shape.promptTokens }, (_, i) => (1_000 + 7_919 * (i + seed)) % vocab_size),
    groupSize: GRAIL_V5.groupSize,
    generation: metadata.generation,
    coefficients: COEFFICIENTS,
    deadlineMs: Date.now() + DEADLINE_MS,
    seed,
  }
}

/** Share of a group's sequences that a replay repeats bit for bit. */
async function repeated(
  verify: (request: VerifyRequest, signal: AbortSignal) => Promise<VerifyReply>,
  request: GroupRequest,
  { completions, proofRows: rows }: GroupReply,
): Promise<number> {
  const { promptIds } = request
  const lengths = completions.map(({ completionIds }) => promptIds.length + completionIds.length)
  let exact = 0
  for (const [at, { completionIds, sketches, logprobs }] of completions.entries()) {
    const tokens = Int32Array.from([...promptIds, ...completionIds])
    const again = await verify(
      { ...request, tokens, promptLength: promptIds.length, group: { lengths, at, rows } },
      never,
    )
    const same = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      a.length === b.length && Array.from(a).every((value, i) => Object.is(value, b[i]))
    if (same(again.sketches, sketches) && same(again.logprobs, logprobs)) exact++
  }
  return exact / completions.length
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
  const { shape, repetitions, say } = of
  say(`making two checkpoints of ${shape.name}'s shape`)
  const checkpoints = [await makeCheckpoint(of, 30), await makeCheckpoint(of, 60)] as const
  const measured: Measured = {
    ...{ rolloutsPerSecond: [], tokensPerSecond: [], proofShare: [], swapSeconds: [] },
    ...{ exact: [], canaries: [], provedPerSecond: [], provedExact: [] },
  }
  const engine = transformersEngine({ profile: GRAIL_V5, ...of.worker })
  const sing = async (checkpoint: Checkpoint): Promise<void> => {
    const { promptIds, coefficients, deadlineMs } = requestOf(of, checkpoint, 1)
    const { window: checkpointWindow, generation } = checkpoint.metadata
    const options = { profile: GRAIL_V5, checkpointWindow, generation, promptIds, coefficients, deadlineMs }
    const verdict = await canary(engine, options, never)
    if (!verdict.ok) say(`the canary failed: ${verdict.reason}`)
    measured.canaries.push(verdict.ok ? 1 : 0)
  }
  try {
    await engine.start(checkpoints[0], never)
    // Its group warms the card up: kernels are chosen, memory is taken.
    await sing(checkpoints[0])
    for (let repetition = 1; repetition <= repetitions; repetition++) {
      const request = requestOf(of, checkpoints[0], repetition)
      const group = await engine.generate(request, never)
      const { generate, prove } = group.seconds
      const tokens = group.completions.reduce((sum, { completionIds }) => sum + completionIds.length, 0)
      measured.rolloutsPerSecond.push(group.completions.length / (generate + prove))
      measured.tokensPerSecond.push(tokens / (generate + prove))
      measured.proofShare.push(prove / (generate + prove))
      measured.exact.push(await repeated(engine.verify, request, group))
      say(`group ${repetition}: ${tokens} tokens, ${generate.toFixed(2)} s generated, ${prove.toFixed(2)} s proved`)
    }
    for (let repetition = 1; repetition <= repetitions; repetition++) {
      const next = checkpoints[repetition % 2]!
      const beganMs = performance.now()
      await engine.load(next, never)
      measured.swapSeconds.push((performance.now() - beganMs) / 1_000)
      await sing(next)
    }
  } finally {
    await engine.close()
  }

  const provers = proofWorkers([of.worker], GRAIL_V5, say, Math.random)
  try {
    await provers.load(checkpoints[0], never)
    for (let repetition = 0; repetition <= repetitions; repetition++) {
      const request = requestOf(of, checkpoints[0], repetition)
      const group = await provers.prove(request, manyLengths(of, repetition), never)
      // The first one warms up.
      if (repetition === 0) continue
      measured.provedPerSecond.push(group.completions.length / group.seconds.prove)
      measured.provedExact.push(await repeated(provers.verify, request, group))
    }
  } finally {
    await provers.close()
  }
  return measured
}

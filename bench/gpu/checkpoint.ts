import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import { packageRoot } from '../../src/package-root.js'
import type { Shape } from './shape.js'

const run = promisify(execFile)
const MAKE_MS = 600_000
const TOKENIZER = join(packageRoot, 'node_modules', '@lenml', 'tokenizer-qwen2_5', 'models')

export interface CheckpointParts {
  shape: Shape
  /** With the worker's requirements. */
  python: string
  env: Readonly<Record<string, string>>
  /** Gets one folder for each window. */
  folder: string
}

async function randomCheckpoint({ shape, python, env, folder }: CheckpointParts, window: number): Promise<Checkpoint> {
  const target = join(folder, `checkpoint-${window}`)
  const script = join(packageRoot, 'bench', 'gpu', 'random-checkpoint.py')
  const args = [script, target, String(window), TOKENIZER, JSON.stringify(shape.config)]
  const { stdout } = await run(python, args, {
    timeout: MAKE_MS,
    env: { ...env, PYTHONPATH: join(packageRoot, 'src', 'engine') },
  })
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

/** Two checkpoints of the shape, for the windows 30 and 60, with random weights, each with its own. */
export async function randomCheckpoints(parts: CheckpointParts): Promise<[Checkpoint, Checkpoint]> {
  return [await randomCheckpoint(parts, 30), await randomCheckpoint(parts, 60)]
}

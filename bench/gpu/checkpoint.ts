import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import { packageRoot } from '../../src/package-root.js'
import type { Shape } from './shape.js'

const run = promisify(execFile)
const MAKE_MS = 600_000
const WINDOWS = [30, 60]
const TOKENIZER = join(packageRoot, 'node_modules', '@lenml', 'tokenizer-qwen2_5', 'models')

export interface CheckpointParts {
  shape: Shape
  /** With the worker's requirements. */
  python: string
  env: Readonly<Record<string, string>>
  /** Gets one folder for each window. */
  folder: string
}

/** Two checkpoints of the shape, for the windows 30 and 60, with random weights, each with its own. */
export async function randomCheckpoints(parts: CheckpointParts): Promise<[Checkpoint, Checkpoint]> {
  const { shape, python, env, folder } = parts
  const folders = WINDOWS.map(window => join(folder, `checkpoint-${window}`))
  const script = join(packageRoot, 'bench', 'gpu', 'random-checkpoint.py')
  const made = folders.flatMap((one, i) => [one, String(WINDOWS[i])])
  const { stdout } = await run(python, [script, TOKENIZER, JSON.stringify(shape.config), ...made], {
    timeout: MAKE_MS,
    env: { ...env, PYTHONPATH: join(packageRoot, 'src', 'engine') },
  })
  // Libraries may have written lines before.
  const hashes = stdout.trim().split('\n').slice(-WINDOWS.length)
  const [first, second] = WINDOWS.map(
    (window, i): Checkpoint => ({
      folder: folders[i]!,
      metadata: {
        window,
        modelName: `${shape.name} with random weights`,
        weightsHash: hashes[i]!,
        environment: 'gsm8k',
        environmentParams: {},
        generation: { maxTokens: shape.maxTokens, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 },
        thinkingMode: 'instructed',
      },
    }),
  )
  return [first!, second!]
}

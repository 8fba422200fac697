import { existsSync } from 'node:fs'
import type { Checkpoint, CheckpointMetadata } from '../../src/checkpoint/metadata.js'
import type { GroupRequest } from '../../src/engine/engine.js'
import { runWorkerPython, workerPython, workerPythonAbsent } from './worker-python.js'

// The model of test/worker/tiny_checkpoint.py on a worker of its own: 259 tokens, 512 positions.

/** How tests start a worker: several of them share a core. */
export const cpuWorker = { python: workerPython, device: 'cpu', threads: 1 }

/** A prompt of 50 tokens. */
const PROMPT_IDS = Int32Array.from({ length: 50 }, (_, i) => 3 + ((i * 7) % 250))
/** As many as the profile has, of both signs. */
const COEFFICIENTS = Int8Array.from({ length: 16 }, (_, j) => 17 * j - 127)
/** A request is never late, ms. As a window's no whole number, and less than any limit of the engine's own. */
const TIME_MS = 200_000.5

const tinyMetadata: CheckpointMetadata = {
  window: 30,
  modelName: 'tiny',
  weightsHash: '',
  environment: 'gsm8k',
  environmentParams: {},
  generation: { maxTokens: 40, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 },
  thinkingMode: 'instructed',
}

/** A tiny model to be written, and what is said of it besides. */
export interface TinyModel extends Partial<CheckpointMetadata> {
  folder: string
  /** Of its weights; default: the window. */
  seed?: number
  /** A token's successor depends on that token alone, as the stand-in for a generation server samples. */
  bigram?: boolean
}

/**
 * Writes tiny models into their folders, but for those that are there: all by one Python, which takes seconds to begin. Without the
 * worker's Python there are no folders.
 */
export async function tinyCheckpoints<Models extends readonly TinyModel[]>(
  ...models: Models
): Promise<{ [Key in keyof Models]: Checkpoint }> {
  const missing = models.filter(({ folder }) => !workerPythonAbsent && !existsSync(folder))
  const written = missing.flatMap(({ folder, seed, window = tinyMetadata.window, bigram = false }) => [
    ...[folder, String(seed ?? window), bigram ? 'bigram' : 'whole'],
  ])
  if (written.length > 0) await runWorkerPython('tiny_checkpoint.py', ...written)
  return models.map(({ folder, seed: _, bigram: __, ...changes }) => ({
    folder,
    metadata: { ...tinyMetadata, ...changes },
  })) as { [Key in keyof Models]: Checkpoint }
}

export async function tinyCheckpoint(folder: string, options: Omit<TinyModel, 'folder'> = {}): Promise<Checkpoint> {
  const [checkpoint] = await tinyCheckpoints({ folder, ...options })
  return checkpoint
}

/** Asks for sixteen completions of the tiny model. */
export function tinyRequest(changes: Partial<GroupRequest> = {}): GroupRequest {
  return {
    profile: 'grail-v5',
    checkpointWindow: tinyMetadata.window,
    promptIds: PROMPT_IDS,
    groupSize: 16,
    generation: tinyMetadata.generation,
    coefficients: COEFFICIENTS,
    deadlineMs: Date.now() + TIME_MS,
    seed: 7,
    ...changes,
  }
}

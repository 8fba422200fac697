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

/**
 * Writes the tiny model into `folder`, unless it is there. Without the worker's Python there is no folder.
 * @param options.seed of its weights; default: the window
 * @param options.bigram a token's successor depends on that token alone, as the stand-in for a generation server samples
 */
export async function tinyCheckpoint(
  folder: string,
  { seed, bigram = false, ...changes }: Partial<CheckpointMetadata> & { seed?: number; bigram?: boolean } = {},
): Promise<Checkpoint> {
  const metadata = { ...tinyMetadata, ...changes }
  if (!workerPythonAbsent && !existsSync(folder))
    await runWorkerPython('tiny_checkpoint.py', folder, String(seed ?? metadata.window), ...(bigram ? ['bigram'] : []))
  return { folder, metadata }
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

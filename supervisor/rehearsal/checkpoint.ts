import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { rehearsalCheckpoint } from '../../src/engine/rehearsal/checkpoint.js'
import { bundledTokenizerFolder } from '../../src/environment/tokenizer.js'
import { packageRoot } from '../../src/package-root.js'
import { ConfigError } from '../config/config-error.js'
import type { EngineName } from './plan.js'

/** Sampling of a rehearsal without weights: the trainer's defaults (grail/trainer/checkpoint_publisher.py:264-274, 54d6342), with fewer tokens. */
const GENERATION = { maxTokens: 1024, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 }

/** The folder of the checkpoint a rehearsal mines with, made when it is not there yet. */
export async function rehearsalCheckpointFolder(
  engine: EngineName,
  folder: string,
  say: (line: string) => void,
): Promise<string> {
  if (engine === 'rehearsal') {
    const target = join(folder, 'rehearsal')
    await rehearsalCheckpoint({
      folder: target,
      tokenizerFolder: bundledTokenizerFolder(),
      environment: 'sat',
      generation: GENERATION,
      thinkingMode: 'instructed',
    })
    say('no weights: a deterministic engine, SAT problems, the Qwen2.5 tokenizer')
    return target
  }
  const target = join(folder, 'smollm2-135m-instruct')
  await python(['-m', 'worker.checkpoint', '--to', target], say)
  return target
}

/** Runs a module of the worker's Python, its lines told as they come. Throws ConfigError with the last one when it fails. */
function python(args: string[], say: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(packageRoot, '.venv', 'bin', 'python'), args, {
      cwd: join(packageRoot, 'src', 'engine'),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let last = ''
    const lines = (stream: NodeJS.ReadableStream, tell: boolean) =>
      createInterface({ input: stream }).on('line', line => {
        last = line
        if (tell) say(line)
      })
    lines(child.stdout, true)
    lines(child.stderr, false)
    child.on('error', error =>
      reject(new ConfigError(`the worker's Python does not start: ${error.message}`, { cause: error })),
    )
    child.on('exit', code =>
      code === 0 ? resolve() : reject(new ConfigError(`the checkpoint could not be made: ${last}`)),
    )
  })
}

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { packageRoot } from '../../src/package-root.js'
import { workerPython } from '../../test/helpers/worker-python.js'

const run = promisify(execFile)
/** Importing torch takes seconds to a minute. */
const MAKE_MS = 180_000

export interface Story {
  /** Mean tokens of a completion beside the 33 of its opening. */
  body: number
  maxTokens: number
}

/** Puts a checkpoint of the tiny model (test/worker/story_checkpoint.py) into `folder`, as a trainer's is: made by the worker's own builder. */
export async function storyCheckpoint(folder: string, { body, maxTokens }: Story): Promise<void> {
  const model = `${folder}.model`
  const worker = join(packageRoot, 'src', 'engine')
  const options = {
    cwd: worker,
    timeout: MAKE_MS,
    env: { PYTHONPATH: worker, OMP_WAIT_POLICY: 'PASSIVE' },
  }
  await run(workerPython, [join(packageRoot, 'test', 'worker', 'story_checkpoint.py'), model, String(body)], options)
  await run(
    workerPython,
    [
      ...['-m', 'worker.checkpoint', '--to', folder, '--model', model, '--env', 'sat', '--split', ''],
      ...['--max-tokens', String(maxTokens), '--temperature', '1', '--top-p', '1', '--top-k', '0'],
    ],
    options,
  )
}

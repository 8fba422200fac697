import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { packageRoot } from '../../src/package-root.js'

/** The Python that supervisor/setup/python.sh makes. */
export const workerPython: string = join(packageRoot, '.venv', 'bin', 'python')

/** Why a test that needs the worker's Python is skipped, or false when it can run: pass as tap's `skip` option. */
export const workerPythonAbsent: string | false = existsSync(join(packageRoot, '.venv', 'stamp'))
  ? false
  : '.venv is absent: supervisor/setup/python.sh makes it'

const run = promisify(execFile)

/** Output of a Python file of test/worker, which may import the worker. */
export async function runWorkerPython(file: string, ...args: string[]): Promise<string> {
  const { stdout } = await run(workerPython, [join(packageRoot, 'test', 'worker', file), ...args], {
    env: { PYTHONPATH: join(packageRoot, 'src', 'engine'), OMP_WAIT_POLICY: 'PASSIVE' },
    maxBuffer: 64 * 1024 * 1024,
  })
  return stdout
}

/** Output of a module of the worker that is run as a program. */
export async function runWorkerModule(module: string, ...args: string[]): Promise<string> {
  const { stdout } = await run(workerPython, ['-m', module, ...args], {
    cwd: join(packageRoot, 'src', 'engine'),
    env: { OMP_WAIT_POLICY: 'PASSIVE' },
  })
  return stdout
}

import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'

/** A program and the arguments that come before the server's own. */
export interface Resolved {
  program: string
  before: string[]
}

/**
 * What to run for an inventory's `program`: in a virtual environment's folder its Python, with the server's module; so
 * with a Python; anything else is run as it is and gets the server's arguments.
 */
export function resolveProgram(program: string, module: string): Resolved {
  const python = join(program, 'bin', 'python')
  if (existsSync(python)) return { program: python, before: ['-m', module] }
  if (/^python[\d.]*$/.test(basename(program))) return { program, before: ['-m', module] }
  return { program, before: [] }
}

/** Every server's: no telemetry, nothing fetched, compiled kernels in a folder of its own. */
export function serverEnvironment(cacheFolder: string): Record<string, string> {
  return {
    HF_HUB_OFFLINE: '1',
    TRANSFORMERS_OFFLINE: '1',
    DO_NOT_TRACK: '1',
    TOKENIZERS_PARALLELISM: 'false',
    PYTHONUNBUFFERED: '1',
    TORCHINDUCTOR_CACHE_DIR: join(cacheFolder, 'inductor'),
    TRITON_CACHE_DIR: join(cacheFolder, 'triton'),
  }
}

import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../../src/package-root.js'
import { natsServerBinary } from '../../test/helpers/nats-server.js'

/** What a figure depends on and a name would not tell. */
export interface MachineFacts {
  cpu: string
  cores: number
  memoryBytes: number
  kernel: string
  node: string
  natsServer: string
  redis: string
  pyarrow: string
  /** Of the source tree; '+' where files differ from it. */
  commit: string
  /** Processes that wanted to run, mean of a minute, when the run began. */
  load: number
}

/** Of a program that is not on the machine, in place of its version. */
export const ABSENT = 'absent'

export function machineFacts(): MachineFacts {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release().split('-')[0] as string,
    node: process.versions.node,
    natsServer: firstNumber(natsServerBinary ?? 'nats-server', ['--version']),
    redis: firstNumber('redis-server', ['--version']),
    pyarrow: firstNumber(pythonPath, ['-c', 'import pyarrow; print(pyarrow.__version__)']),
    commit: commit(),
    load: loadavg()[0] as number,
  }
}

/** The Python with pyarrow that setup makes for tests and benchmarks. */
export const pythonPath: string = join(packageRoot, '.venv-test', 'bin', 'python')

function said(program: string, args: string[]): string {
  try {
    return execFileSync(program, args, {
      encoding: 'utf8',
      cwd: packageRoot,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return ''
  }
}

function firstNumber(program: string, args: string[]): string {
  return /\d+(\.\d+)+/.exec(said(program, args))?.[0] ?? ABSENT
}

function commit(): string {
  const hash = said('git', ['rev-parse', '--short', 'HEAD'])
  return hash === ''
    ? 'unknown'
    : `${hash}${said('git', ['status', '--porcelain', '--untracked-files=no']) === '' ? '' : '+'}`
}

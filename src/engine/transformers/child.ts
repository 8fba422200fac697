import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { packageRoot } from '../../package-root.js'
import type { Profile } from '../../protocol/profile.js'
import { timeOut } from '../../time-out.js'
import { EngineError } from '../engine.js'
import { endGroup } from '../process-group.js'

export interface WorkerOptions {
  profile: Profile
  /** Absolute path of a Python that has the worker's requirements. */
  python: string
  /** 'auto' (default), 'cpu', 'cuda' or 'cuda:N'. */
  device?: string
  /** Default bfloat16, the protocol's. */
  dtype?: 'bfloat16' | 'float32'
  /** 'auto' (default: the profile's on a GPU, SDPA on a CPU) or an attn_implementation of transformers. */
  attention?: string
  /** CPU threads; 0 (default) leaves it to torch, which takes every core. */
  threads?: number
  /** Sequences per proof forward; 0 (default): the profile's on a GPU, 1 on a CPU. */
  proofRows?: number
  /** Completions sampled at once; 0 (default): the whole group. */
  sampleRows?: number
  /** The worker's whole environment, e.g. CUDA_VISIBLE_DEVICES; nothing is inherited. */
  env?: Record<string, string>
  /** Receives what the worker writes, line by line. */
  onLog?: (line: string) => void
}

/** A worker process that listens. */
export interface Worker {
  pid: number
  port: number
  token: string
  /** Resolves, with how it ended, when the process is gone. */
  exited: Promise<string>
  /** Ends the process and its whole group; idempotent. */
  stop(): Promise<void>
}

/** Python has to import torch and transformers: seconds when they are cached, a minute from a cold disk. */
const START_MS = 180_000
/** The worker holds nothing worth saving: SIGTERM is a courtesy. */
const TERM_MS = 5_000
const TOKEN_BYTES = 32
/** Lines of the worker's log that are kept to say why it did not start. */
const LAST_LINES = 20

const ENVIRONMENT = {
  // Nothing is fetched while mining: checkpoints come as folders.
  HF_HUB_OFFLINE: '1',
  TRANSFORMERS_OFFLINE: '1',
  HF_HUB_DISABLE_TELEMETRY: '1',
  DO_NOT_TRACK: '1',
  TOKENIZERS_PARALLELISM: 'false',
  // Threads that spin at a barrier while another process has their core cost a hundredfold (2 tokens/s instead of 200).
  OMP_WAIT_POLICY: 'PASSIVE',
  PYTHONUNBUFFERED: '1',
  // Whatever the host says: what one worker has compiled of torch and transformers the next ones read, which halves their start.
  PYTHONDONTWRITEBYTECODE: '',
}

/** Reads the port from the worker's report, or finds out why there is none. */
async function readPort(child: ChildProcess, exited: Promise<string>, signal: AbortSignal): Promise<number> {
  const report = createInterface({ input: child.stdio[3] as NodeJS.ReadableStream })
  const timeout = timeOut(START_MS)
  const stop = new AbortController()
  try {
    const line = await Promise.race([
      new Promise<string>(resolve => report.once('line', resolve)),
      exited.then(how => Promise.reject(new EngineError(`the worker did not start: ${how}`, 'later'))),
      sleep(START_MS * 2, '', { signal: AbortSignal.any([signal, timeout, stop.signal]) }).catch(() => {
        signal.throwIfAborted()
        throw new EngineError(`the worker did not start within ${START_MS / 1_000} s`, 'later')
      }),
    ])
    return (JSON.parse(line) as { port: number }).port
  } finally {
    stop.abort()
    report.close()
  }
}

/**
 * Starts a worker in a process group of its own and waits until it listens. Its settings and its token go through a
 * pipe, never through arguments or environment; the same pipe's end tells it that this process is gone.
 * @throws EngineError 'never' when there is no such Python, 'later' when it ends or is silent
 */
export async function startWorker(options: WorkerOptions, signal: AbortSignal): Promise<Worker> {
  signal.throwIfAborted()
  const { profile, python, onLog = () => {} } = options
  const token = randomBytes(TOKEN_BYTES).toString('hex')
  const child = spawn(python, ['-m', 'worker'], {
    cwd: join(packageRoot, 'src', 'engine'),
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    env: { ...options.env, ...ENVIRONMENT },
  })
  const last: string[] = []
  for (const stream of [child.stdout!, child.stderr!])
    createInterface({ input: stream }).on('line', line => {
      last.push(line)
      if (last.length > LAST_LINES) last.shift()
      onLog(line)
    })
  const exited = new Promise<string>(resolve => {
    child.once('error', error => resolve(error.message))
    // 'close' comes after the last line of its log, unless a grandchild holds the pipes: 'exit' is the one that counts.
    child.once('exit', (code, killedBy) => resolve(killedBy ? `killed by ${killedBy}` : `exit ${code}`))
  })
  // A worker that is gone cannot read its settings; `exited` says so.
  child.stdin!.on('error', () => {})
  const { pid } = child
  if (pid === undefined)
    throw new EngineError(
      `${python} cannot be run (${await exited}): run supervisor/setup/python.sh, or name another Python`,
      'never',
    )
  child.stdin!.write(
    `${JSON.stringify({
      token,
      profile: profile.id,
      buckets: profile.buckets,
      initial_steps: profile.distribution.initialSteps,
      device: options.device ?? 'auto',
      dtype: options.dtype ?? 'bfloat16',
      attention: options.attention ?? 'auto',
      threads: options.threads ?? 0,
      proof_rows: options.proofRows ?? 0,
      sample_rows: options.sampleRows ?? 0,
      profile_rows: profile.proofBatch,
      profile_attention: profile.proofAttention,
    })}\n`,
  )
  let stopping: Promise<void> | undefined
  const stop = () => (stopping ??= endGroup(pid, exited, TERM_MS))
  try {
    return { pid, port: await readPort(child, exited, signal), token, exited, stop }
  } catch (error) {
    await stop()
    if (error instanceof EngineError && last.length > 0)
      throw new EngineError(`${error.message}; its last line: ${last.at(-1)}`, error.next, { cause: error })
    throw error
  }
}

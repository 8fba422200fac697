import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { packageRoot } from '../../package-root.js'
import { RewardError } from '../environment.js'

/** One job for a judging process. */
export interface Job {
  /** What the job module gets, as JSON. */
  job: unknown
  /** Seconds until its process is killed. */
  seconds: number
  /** Address space, bytes. */
  memoryBytes: number
}

const replySchema = z.object({
  id: z.int(),
  outcome: z.enum(['done', 'timeout', 'crashed', 'refused']),
  parts: z.array(z.unknown()),
  detail: z.string(),
})
const readySchema = z.object({ ready: z.looseObject({ python: z.string() }) })

export type JobReply = z.output<typeof replySchema>

/** A running nursery.py: takes one job at a time and runs each in a child of its own that is shut in (see containment.py). */
export interface Nursery {
  /** What its job module says of itself, with the version of Python. */
  facts: { python: string; [fact: string]: unknown }
  /** Jobs taken so far. */
  served: number
  /** Rejects with RewardError when the process is gone or does not answer; it is then of no further use. */
  judge(job: Job, signal: AbortSignal): Promise<JobReply>
  /** Ends it and its child at once; idempotent. */
  kill(): void
}

/** ms for Python to start and load its modules; sympy on a slow disk takes the most. */
const START_MS = 60_000
/** ms beyond a job's own limit until the nursery itself counts as stuck. */
const GRACE_MS = 10_000
/** Characters of stderr kept for error messages. */
const KEPT_STDERR = 2_000

const SCRIPT = join(packageRoot, 'src', 'environment', 'python', 'nursery.py')
/** Nothing of the parent's environment, which may hold secrets. A fixed hash seed makes sets iterate the same way every time. */
const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
  PYTHONHASHSEED: '0',
}

/**
 * Starts a nursery for a job module of src/environment/python.
 * @throws RewardError when Python cannot be started or the module cannot be loaded
 */
export async function startNursery(python: string, module: string): Promise<Nursery> {
  // a path is the caller's, not the root's where the process will live
  const program = python.includes('/') ? resolve(python) : python
  const child = spawn(program, ['-s', '-B', SCRIPT, module], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: ENVIRONMENT,
    cwd: '/',
    // a process group of its own, so that it can be killed with its child
    detached: true,
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-KEPT_STDERR)
  })
  // an idle judge does not keep the program alive; while one is asked, the timer of the answer does
  child.unref()
  for (const stream of child.stdio) (stream as Socket | null)?.unref()
  // a write to a process that just died is noticed by its end
  child.stdin.on('error', () => {})
  const kill = () => killGroup(child)
  const lines = lineReader(child, () => stderr.trim())

  let facts: Nursery['facts']
  try {
    facts = readySchema.parse(JSON.parse(await lines.next(START_MS))).ready
  } catch (cause) {
    kill()
    throw new RewardError(
      `the judge ${module} does not start with ${python}: ${(cause as Error).message}. It needs Python 3.10 or newer`,
      { cause },
    )
  }

  const nursery: Nursery = {
    facts,
    served: 0,
    kill,
    async judge({ job, seconds, memoryBytes }, signal) {
      const id = ++nursery.served
      signal.throwIfAborted()
      signal.addEventListener('abort', kill, { once: true })
      try {
        child.stdin.write(`${JSON.stringify({ id, seconds, memory: memoryBytes, job })}\n`)
        const reply = replySchema.parse(JSON.parse(await lines.next(seconds * 1000 + GRACE_MS)))
        if (reply.id !== id) throw new Error(`reply ${reply.id} to job ${id}`)
        return reply
      } catch (cause) {
        kill()
        signal.throwIfAborted()
        throw new RewardError(`the judge ${module} broke down: ${(cause as Error).message}`, { cause })
      } finally {
        signal.removeEventListener('abort', kill)
      }
    },
  }
  return nursery
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // it ended by itself in this moment
  }
}

/** Lines of stdout, one awaited at a time. A line that nobody awaits, the end of the process and silence are errors. */
function lineReader(child: ChildProcess, stderr: () => string) {
  let ended: Error | undefined
  let waiting: { resolve: (line: string) => void; reject: (error: Error) => void } | undefined
  const end = (error: Error) => {
    ended ??= error
    waiting?.reject(ended)
    waiting = undefined
  }
  child.once('error', end)
  child.once('close', (code, signal) =>
    end(new Error(`it ended with ${signal ?? `exit ${code}`}${stderr() && `: ${stderr()}`}`)),
  )
  createInterface({ input: child.stdout! }).on('line', line => {
    if (!waiting) return end(new Error('it spoke without being asked'))
    waiting.resolve(line)
    waiting = undefined
  })
  return {
    next: (ms: number) =>
      new Promise<string>((resolve, reject) => {
        if (ended) return reject(ended)
        const timer = setTimeout(() => {
          end(new Error(`no answer for ${ms / 1000} s`))
        }, ms)
        waiting = {
          resolve: line => {
            clearTimeout(timer)
            resolve(line)
          },
          reject: error => {
            clearTimeout(timer)
            reject(error)
          },
        }
      }),
  }
}

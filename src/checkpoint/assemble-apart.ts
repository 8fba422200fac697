import { fork } from 'node:child_process'
import { constants, setPriority } from 'node:os'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Assembled, Assembly } from './assemble.js'
import type { AssemblyAnswer } from './assemble-child.js'
import { CheckpointError } from './checkpoint-error.js'

/** Longest assembly, ms. 30 GB of weights take about two minutes on a usual disk; a window's tail must not wait for one that hangs. */
const TIME_LIMIT_MS = 15 * 60_000

const child = fileURLToPath(new URL(`./assemble-child${extname(fileURLToPath(import.meta.url))}`, import.meta.url))

/**
 * `assemble` in a process of its own: unpacking a delta keeps a processor for seconds and takes its size in memory, and
 * this process has to go on telling that it is alive. The process ends with its work, with the signal, or with this one.
 * @param inBackground leaves the processors to whoever else wants them
 * @throws CheckpointError 'malformed' (delta or base), 'assembly' when the process died; errors of the file system with
 *   their code; the signal's reason
 */
export async function assembleApart(job: Assembly, signal: AbortSignal, inBackground = false): Promise<Assembled> {
  signal.throwIfAborted()
  const worker = fork(child, [], {
    env: {},
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    timeout: TIME_LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  if (inBackground && worker.pid !== undefined) stepBack(worker.pid)
  const end = () => worker.kill('SIGKILL')
  signal.addEventListener('abort', end, { once: true })
  try {
    let answer: AssemblyAnswer | undefined
    worker.once('message', (message: AssemblyAnswer) => {
      answer = message
    })
    // Waited for in any case: nothing may write into the folder any more when this returns.
    const how = await new Promise<string>(resolve => {
      worker.once('close', (code, killed) => resolve(killed ? `was ended by ${killed}` : `ended with code ${code}`))
      worker.once('error', error => resolve(`failed: ${error.message}`))
      worker.send(job, () => {
        // What goes wrong here ends the process, which is told above.
      })
    })
    signal.throwIfAborted()
    if (answer === undefined)
      throw new CheckpointError(
        'assembly',
        `the process putting the weights of ${job.folder} together ${how}: it needs memory for the largest tensor and for a delta`,
        'later',
      )
    if ('done' in answer) return answer.done
    const { message, kind, code } = answer.failed
    if (kind !== 'other') throw new CheckpointError('malformed', message, 'never')
    throw Object.assign(new Error(message), { code })
  } finally {
    signal.removeEventListener('abort', end)
  }
}

function stepBack(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW)
  } catch {
    // It is a courtesy; a process that has just ended has no priority any more.
  }
}

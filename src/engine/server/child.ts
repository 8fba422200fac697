import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { timeOut } from '../../time-out.js'
import { EngineError } from '../engine.js'
import { endGroup } from '../process-group.js'
import { type ServerAddress, serverAddress } from './http.js'
import { groupGoneWithin, groupMembers } from './processes.js'
import type { Launch } from './server.js'

/** A server's process, which leads a process group of its own. */
export interface Child {
  pid: number
  address: ServerAddress
  /** Resolves, with how it ended, when the process is gone. */
  exited: Promise<string>
  /** The last lines it wrote. */
  last: string[]
}

/** Lines of the log that are kept to say why it ended. */
const LAST_LINES = 30
/** How often a server that is loading its weights is asked for a generation, ms. */
const START_POLL_MS = 250
/** How long the driver may take to give back the memory of a process that is gone, ms. */
const MEMORY_MS = 30_000
const MEMORY_POLL_MS = 500

/** @throws EngineError 'never' when there is no such program */
export function spawnServer({ program, args, env }: Launch, port: number, onLine: (line: string) => void): Child {
  const process_: ChildProcess = spawn(program, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env })
  const last: string[] = []
  for (const stream of [process_.stdout!, process_.stderr!])
    createInterface({ input: stream }).on('line', line => {
      last.push(line)
      if (last.length > LAST_LINES) last.shift()
      onLine(line)
    })
  const exited = new Promise<string>(resolve => {
    process_.once('error', error => resolve(error.message))
    // 'close' would wait for every process that inherited the log's pipe.
    process_.once('exit', (code, killedBy) => resolve(killedBy ? `killed by ${killedBy}` : `exit ${code}`))
  })
  const { pid } = process_
  if (pid === undefined)
    throw new EngineError(`${program} cannot be run: correct the engine's program in the inventory`, 'never')
  return { pid, address: serverAddress(`http://127.0.0.1:${port}`), exited, last }
}

/**
 * Waits until it has generated.
 * @throws EngineError why it has not; the signal's reason
 */
export async function untilReady(
  child: Child,
  options: {
    probe: (address: ServerAddress, signal: AbortSignal) => Promise<void>
    /** From its start to its first generation, ms. */
    startMs: number
    /** For one generation, ms. */
    healthMs: number
  },
  signal: AbortSignal,
): Promise<void> {
  const limit = timeOut(options.startMs)
  const either = AbortSignal.any([signal, limit])
  let gone: string | undefined
  const over = new AbortController()
  void child.exited.then(how => {
    gone = how
    over.abort()
  })
  let reason = 'it has not answered yet'
  for (;;) {
    try {
      const attempt = AbortSignal.any([either, over.signal, timeOut(options.healthMs)])
      await options.probe(child.address, attempt)
      if (gone === undefined) return
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof EngineError && error.next === 'never') throw error
      if (!either.aborted && gone === undefined) reason = (error as Error).message
    }
    if (gone !== undefined) throw new EngineError(`it ended while starting (${gone})`, 'later')
    if (limit.aborted)
      throw new EngineError(`it did not generate within ${options.startMs / 1_000} s of its start: ${reason}`, 'later')
    await sleep(START_POLL_MS, undefined, { signal: AbortSignal.any([either, over.signal]) }).catch(() => {})
  }
}

export interface MemoryOptions {
  /** Processes that hold GPU memory now, by id; undefined where nobody can say. */
  gpuProcesses: () => Promise<ReadonlySet<number> | undefined>
  /** Told when the driver still lists processes after the longest wait. */
  onHeld: (message: string) => void
}

/** Waits until the driver lists none of these processes, which have ended, so that the next start finds the memory free. */
export async function memoryFreed(pids: readonly number[], { gpuProcesses, onHeld }: MemoryOptions): Promise<void> {
  if (pids.length === 0) return
  for (let waited = 0; ; waited += MEMORY_POLL_MS) {
    const holders = await gpuProcesses()
    const left = pids.filter(pid => holders?.has(pid))
    if (left.length === 0) return
    if (waited >= MEMORY_MS) {
      onHeld(`the driver still lists processes ${left.join(', ')} after ${MEMORY_MS / 1_000} s`)
      return
    }
    await sleep(MEMORY_POLL_MS)
  }
}

/** Ends the whole group and waits for its memory. @throws Error when somebody survives SIGKILL */
export async function endServer(child: Child, options: MemoryOptions & { termMs: number }): Promise<void> {
  const pids = (await groupMembers(child.pid)).map(({ pid }) => pid)
  await endGroup(child.pid, child.exited, options.termMs)
  child.address.agent.destroy()
  if (!(await groupGoneWithin(child.pid, MEMORY_MS)))
    throw new Error(`processes of group ${child.pid} survived SIGKILL: they hang in the kernel`)
  await memoryFreed(pids, options)
}

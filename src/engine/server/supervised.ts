import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { EngineError } from '../engine.js'
import { endGroup } from '../process-group.js'
import { restartWaitMs } from '../transformers/backoff.js'
import { type Health, healthOf } from './health.js'
import { type ServerAddress, serverAddress } from './http.js'
import { freePort, portIsFree } from './port.js'
import { groupGoneWithin, groupMembers } from './processes.js'
import { endOrphans, forgetGroup, recordGroup } from './record.js'
import type { GenerationServer, Launch, ServerState } from './server.js'
import { saysOutOfMemory, saysPortTaken } from './signs.js'

export interface WatchOptions {
  /** A real tiny generation; throws when the server is not there, not well, or not ours. */
  probe: (address: ServerAddress, signal: AbortSignal) => Promise<void>
  healthEveryMs: number
  healthMs: number
  onLog: (line: string) => void
}

export interface SupervisedOptions extends WatchOptions {
  /** Of the record file; one server per name and state folder. */
  name: string
  stateFolder: string
  /** Absent: one of the kernel's choice, another one with every start. */
  port?: number
  /** How a port is chosen when none is given. */
  pickPort?: () => Promise<number>
  /** From the start of the process to its first generation, ms. */
  startMs: number
  /** How long it may take to end after SIGTERM, ms. */
  termMs: number
  /** Ends that are tolerated within a stretch of time, before the server is given up. */
  crashBudget: { crashes: number; withinMs: number }
  /** In [0, 1). */
  random: () => number
  onOutOfMemory: (line: string) => void
  /** Processes that hold GPU memory now, by id; undefined where nobody can say. */
  gpuProcesses: () => Promise<ReadonlySet<number> | undefined>
  now?: () => number
}

interface Child {
  pid: number
  address: ServerAddress
  exited: Promise<string>
  last: string[]
}

/** Two wrong answers in a row: one may be a hiccup, and a restart costs minutes. */
const FAILURES_TO_RESTART = 2
/** How often a server that is loading its weights is asked for a generation, ms. */
const START_POLL_MS = 250
/** Lines of the log that are kept to say why it ended. */
const LAST_LINES = 30
/** Starts on another port before a taken port counts as a crash. */
const PORT_TRIES = 3
/** What a caller is told while it starts: weights of some GB take this long. */
const START_RETRY_MS = 15_000
/** How long the driver may take to give back the memory of a process that is gone, ms. */
const MEMORY_MS = 30_000
const MEMORY_POLL_MS = 500

/**
 * Starts a generation server as a child in a process group of its own and keeps it well: it is ready when it has really
 * generated, degraded when it stops doing so, ended with its whole group and started again after a growing wait, and
 * given up when it ended too often. The group is recorded in the state folder, so that a later run can end what a killed
 * one left behind.
 */
export function superviseServer(options: SupervisedOptions): GenerationServer {
  const { name, onLog, random, now = Date.now, crashBudget, termMs } = options
  const record = join(options.stateFolder, `${name}.process-group.json`)
  let state: { state: ServerState; reason: string } = { state: 'stopped', reason: 'not started' }
  let current: (ServerAddress & { incarnation: number }) | undefined
  let health: Health | undefined
  let launch: (port: number) => Launch
  let incarnation = 0
  let run: { control: AbortController; done: Promise<void> } | undefined

  function become(next: ServerState, reason: string): void {
    if (next === state.state && reason === state.reason) return
    state = { state: next, reason }
    onLog(`${name} is ${next}${reason === '' ? '' : `: ${reason}`}`)
  }

  function spawnChild(port: number): Child {
    const { program, args, env } = launch(port)
    const process_: ChildProcess = spawn(program, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env })
    const last: string[] = []
    for (const stream of [process_.stdout!, process_.stderr!])
      createInterface({ input: stream }).on('line', line => {
        last.push(line)
        if (last.length > LAST_LINES) last.shift()
        onLog(line)
        if (saysOutOfMemory(line)) options.onOutOfMemory(line)
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

  async function memoryFreed(pids: number[]): Promise<void> {
    for (let waited = 0; ; waited += MEMORY_POLL_MS) {
      const holders = await options.gpuProcesses()
      const left = pids.filter(pid => holders?.has(pid))
      if (left.length === 0) return
      if (waited >= MEMORY_MS) {
        onLog(`${name}: the driver still lists processes ${left.join(', ')} after ${MEMORY_MS / 1_000} s`)
        return
      }
      await sleep(MEMORY_POLL_MS)
    }
  }

  async function end(child: Child): Promise<void> {
    current = undefined
    health = undefined
    const pids = (await groupMembers(child.pid)).map(({ pid }) => pid)
    await endGroup(child.pid, child.exited, termMs)
    child.address.agent.destroy()
    if (!(await groupGoneWithin(child.pid, MEMORY_MS)))
      throw new Error(`processes of group ${child.pid} survived SIGKILL: they hang in the kernel`)
    await memoryFreed(pids)
    await forgetGroup(record)
  }

  /** Until it has generated; otherwise says why not. */
  async function ready(child: Child, signal: AbortSignal): Promise<void> {
    const limit = AbortSignal.timeout(options.startMs)
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
        const attempt = AbortSignal.any([either, over.signal, AbortSignal.timeout(options.healthMs)])
        await options.probe(child.address, attempt)
        if (gone === undefined) return
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof EngineError && error.next === 'never') throw error
        if (!either.aborted && gone === undefined) reason = (error as Error).message
      }
      if (gone !== undefined) throw new EngineError(`it ended while starting (${gone})`, 'later')
      if (limit.aborted)
        throw new EngineError(
          `it did not generate within ${options.startMs / 1_000} s of its start: ${reason}`,
          'later',
        )
      await sleep(START_POLL_MS, undefined, { signal: AbortSignal.any([either, over.signal]) }).catch(() => {})
    }
  }

  /** From a start to the end of the process. @returns why it ended; undefined when it was told to */
  async function live(
    signal: AbortSignal,
    onReady: () => void,
  ): Promise<{ why: string; portTaken: boolean } | undefined> {
    become('starting', '')
    const port = options.port ?? (await (options.pickPort ?? freePort)())
    if (options.port !== undefined && !(await portIsFree(port)))
      throw new EngineError(
        `port ${port} is taken by another program: free it, or leave the port out to have one chosen`,
        'later',
      )
    const child = spawnChild(port)
    let why: string | undefined
    try {
      await recordGroup(record, child.pid)
      await ready(child, signal)
      // Again, now that it has started the processes that hold the GPU.
      await recordGroup(record, child.pid)
      const watching = new AbortController()
      health = healthOf({
        probe: inner => options.probe(child.address, inner),
        everyMs: options.healthEveryMs,
        timeoutMs: options.healthMs,
        failures: FAILURES_TO_RESTART,
        onChange: trouble => become(trouble === undefined ? 'ready' : 'degraded', trouble ?? ''),
        now,
      })
      current = { ...child.address, incarnation: ++incarnation }
      become('ready', '')
      onReady()
      why = await Promise.race([
        child.exited,
        health.watch(AbortSignal.any([signal, watching.signal])).then(reason => reason ?? 'it was told to end'),
      ])
      watching.abort()
    } catch (error) {
      if (!signal.aborted) {
        const hint = child.last.at(-1)
        why = `${(error as Error).message}${hint === undefined ? '' : `; its last line: ${hint}`}`
        if (error instanceof EngineError && error.next === 'never') throw error
      }
    } finally {
      await end(child)
    }
    if (signal.aborted) return undefined
    return { why: why ?? 'it ended', portTaken: child.last.some(saysPortTaken) }
  }

  async function keep(
    signal: AbortSignal,
    first: { ready: () => void; failed: (error: Error) => void },
  ): Promise<void> {
    let crashes: number[] = []
    let failures = 0
    let portTries = 0
    const giveUp = (reason: string): void => {
      become('failed', reason)
      first.failed(new EngineError(`${name} was given up: ${reason}`, 'never'))
    }
    while (!signal.aborted) {
      let why: string
      try {
        const ended = await live(signal, () => {
          failures = 0
          first.ready()
        })
        if (!ended) break
        why = ended.why
        if (ended.portTaken && options.port === undefined && portTries++ < PORT_TRIES) {
          onLog(`${name}: another program took its port first, another one is tried`)
          continue
        }
      } catch (error) {
        if (signal.aborted) break
        if (error instanceof EngineError && error.next === 'never') return giveUp(error.message)
        why = (error as Error).message
      }
      crashes = [...crashes.filter(atMs => now() - atMs < crashBudget.withinMs), now()]
      if (crashes.length > crashBudget.crashes)
        return giveUp(
          `it ended ${crashes.length} times within ${crashBudget.withinMs / 60_000} minutes, the last time because ${why}`,
        )
      const waitMs = restartWaitMs(failures++, random())
      become('restarting', `${why}; started again in ${waitMs / 1_000} s`)
      await sleep(waitMs, undefined, { signal }).catch(() => {})
    }
    become('stopped', '')
    first.failed(new EngineError(`${name} was stopped`, 'later'))
  }

  async function stop(): Promise<void> {
    const last = run
    run = undefined
    last?.control.abort()
    await last?.done
  }

  return {
    owned: true,
    state: () => state,
    suspect: reason => health?.suspect(reason),
    well: () => health?.well(),
    relaunchWith(next) {
      launch = next
    },
    stop,

    up() {
      if (current && state.state === 'ready') return current
      if (state.state === 'failed')
        throw new EngineError(`${name} was given up: ${state.reason}; load() tries again`, 'never')
      throw new EngineError(`${name} is ${state.state}${state.reason === '' ? '' : `: ${state.reason}`}`, 'later', {
        retryAfterMs: START_RETRY_MS,
      })
    },

    async start(next, signal) {
      await stop()
      signal.throwIfAborted()
      await endOrphans(record, { termMs, onLog })
      launch = next
      const control = new AbortController()
      const mine: { control: AbortController; done: Promise<void> } = { control, done: Promise.resolve() }
      run = mine
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => control.abort()
        const settled = (): void => signal.removeEventListener('abort', onAbort)
        signal.addEventListener('abort', onAbort, { once: true })
        mine.done = keep(control.signal, {
          ready: () => {
            settled()
            resolve()
          },
          failed: error => {
            settled()
            reject(signal.aborted ? (signal.reason as Error) : error)
          },
        })
      })
    },
  }
}

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EngineError } from '../engine.js'
import { restartWaitMs } from '../transformers/backoff.js'
import { type Child, endServer, type MemoryOptions, memoryFreed, spawnServer, untilReady } from './child.js'
import { type Health, healthOf } from './health.js'
import type { ServerAddress } from './http.js'
import { freePort, portIsFree } from './port.js'
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
  /** Receives what the server writes, line by line; absent: onLog does. */
  onServerLine?: (line: string) => void
  /** Processes that hold GPU memory now, by id; undefined where nobody can say. */
  gpuProcesses: () => Promise<ReadonlySet<number> | undefined>
  now?: () => number
}

/** Two wrong answers in a row: one may be a hiccup, and a restart costs minutes. */
const FAILURES_TO_RESTART = 2
/** Starts on another port before a taken port counts as a crash. */
const PORT_TRIES = 3
/** What a caller is told while it starts: weights of some GB take this long. */
const START_RETRY_MS = 15_000

/**
 * Starts a generation server as a child in a process group of its own and keeps it well: it is ready when it has really
 * generated, degraded when it stops doing so, ended with its whole group and started again after a growing wait, and
 * given up when it ended too often. The group is recorded in the state folder, so that a later run can end what a killed
 * one left behind.
 */
export function superviseServer(options: SupervisedOptions): GenerationServer {
  const { name, onLog, onServerLine = onLog, random, now = Date.now, crashBudget, termMs } = options
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

  const memory: MemoryOptions = {
    gpuProcesses: options.gpuProcesses,
    onHeld: message => onLog(`${name}: ${message}`),
  }

  function onLine(line: string): void {
    onServerLine(line)
    if (saysOutOfMemory(line)) options.onOutOfMemory(line)
  }

  async function end(child: Child): Promise<void> {
    current = undefined
    health = undefined
    await endServer(child, { termMs, ...memory })
    await forgetGroup(record)
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
    const child = spawnServer(launch(port), port, onLine)
    let why: string | undefined
    try {
      await recordGroup(record, child.pid)
      await untilReady(child, options, signal)
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
      await memoryFreed(await endOrphans(record, { termMs, onLog }), memory)
      // Nobody was told of an abort meanwhile.
      signal.throwIfAborted()
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

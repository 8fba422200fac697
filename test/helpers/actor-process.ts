import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../../src/package-root.js'
import { boundToUs } from './bound.js'

/** A process of the fleet, kept as supervisord keeps it: whenever it ends it is started again, until it is stopped for good. */
export interface Actor {
  readonly name: string
  readonly pid: number
  readonly running: boolean
  /** Lines it has written, over all its lives. */
  readonly lines: readonly string[]
  /** Those of its present life, or of the next one while it is dead. */
  readonly life: readonly string[]
  /** A real signal. */
  signal(name: NodeJS.Signals): void
  /** SIGKILL; resolves when the process is gone. It is started again. */
  kill(): Promise<void>
  /** SIGKILL, and stays away until `start`. */
  bury(): Promise<void>
  /** Starts it again after `bury` or `stop`. */
  start(): void
  /** SIGTERM, waits for the end, stays away. Returns the exit code; null when a signal ended it. */
  stop(): Promise<number | null>
}

/** A process that ended although nobody had sent it a signal. */
export interface Crash {
  name: string
  code: number | null
  signal: NodeJS.Signals | null
  lastLines: string[]
}

export interface ActorOptions {
  /** `role`, `role-number` or `role@host`, e.g. 'generator-1', 'aggregator@spare'. */
  name: string
  config: string
  /** Added to the environment. */
  env: Record<string, string>
  /** Arguments for node itself. */
  nodeArgs?: readonly string[]
  onCrash(crash: Crash): void
}

/** supervisord waits a moment before it starts a program again, ms. */
const RESTART_MS = 200
/** A process that does not end by SIGTERM is ended by SIGKILL after this, as supervisord does after stopwaitsecs, ms. */
const STOP_MS = 20_000

/** The host of the inventory that everything is on that names no other. */
export const FIRST_HOST = 'test'

/** How the program is started: compiled beside compiled tests, through tsx beside sources. */
function program(): string[] {
  return import.meta.url.endsWith('.ts')
    ? ['--import', 'tsx', join(packageRoot, 'supervisor', 'main.ts')]
    : [join(packageRoot, 'dist', 'supervisor', 'main.js')]
}

function args({ name, config }: ActorOptions): string[] {
  const [process = '', host = FIRST_HOST] = name.split('@')
  const [role = '', number] = process.split('-')
  return ['actor', role, '--config', config, '--host', host, ...(number === undefined ? [] : ['--number', number])]
}

export function startActor(options: ActorOptions): Actor {
  const { name } = options
  const lines: string[] = []
  let life: string[] = []
  let wanted = false
  let child: ChildProcess | undefined
  /** Those we have sent a signal that ends them. */
  const signalled = new WeakSet<ChildProcess>()

  const isRunning = (process: ChildProcess | undefined) =>
    process !== undefined && process.exitCode === null && process.signalCode === null

  function spawnIt(): void {
    const started = spawn(
      // Without the loaders that the test runner hands to every process by NODE_OPTIONS, whatever environment we give: they take
      // time, and end a process at signals that node ignores.
      ...boundToUs('env', [
        '--unset=NODE_OPTIONS',
        process.execPath,
        ...(options.nodeArgs ?? []),
        ...program(),
        ...args(options),
      ]),
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, NODE_NO_WARNINGS: '1', ...options.env },
        cwd: packageRoot,
      },
    )
    child = started
    const mine: string[] = []
    life = mine
    for (const stream of [started.stdout, started.stderr])
      createInterface({ input: stream }).on('line', line => {
        if (line === '') return
        lines.push(line)
        mine.push(line)
      })
    started.once('exit', (code, signal) => {
      if (!signalled.has(started)) options.onCrash({ name, code, signal, lastLines: lines.slice(-5) })
      if (wanted) setTimeout(() => wanted && !isRunning(child) && spawnIt(), RESTART_MS)
    })
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    const dying = child
    if (!dying || !isRunning(dying)) return dying?.exitCode ?? null
    signalled.add(dying)
    const exit = once(dying, 'exit')
    dying.kill(signal)
    // A stopped process takes no SIGTERM.
    if (signal === 'SIGTERM') dying.kill('SIGCONT')
    const late = setTimeout(() => dying.kill('SIGKILL'), STOP_MS)
    const [code] = (await exit) as [number | null]
    clearTimeout(late)
    life = []
    return code
  }

  function start(): void {
    if (wanted) return
    wanted = true
    if (!isRunning(child)) spawnIt()
  }

  start()
  return {
    name,
    lines,
    get running() {
      return isRunning(child)
    },
    get life() {
      return life
    },
    get pid() {
      return child?.pid ?? -1
    },
    signal: signal => void child?.kill(signal),
    kill: async () => {
      await end('SIGKILL')
    },
    bury: async () => {
      wanted = false
      await end('SIGKILL')
    },
    start,
    stop: () => {
      wanted = false
      return end('SIGTERM')
    },
  }
}

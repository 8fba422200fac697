import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Broker, type BrokerOptions, connectBroker } from '../../nats/index.js'
import { boundToUs } from './bound.js'
import { freePort } from './free-port.js'

/** A nats-server of one's own, with JetStream, on loopback. */
export interface NatsServer {
  url: string
  port: number
  readonly pid: number
  /** What it printed, for a failing test. */
  output(): string
  /** SIGTERM, and waits for the end; the store stays until the test ends. */
  stop(): Promise<void>
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>
  /** SIGSTOP: alive, but answers nothing. */
  pause(): void
  resume(): void
  /** Starts again on the same port and store, after `stop` or `kill`. */
  restart(): Promise<void>
  /** Everything gone, the temporary store too. */
  dispose(): Promise<void>
}

export interface NatsServerOptions {
  /** Kept after the test when given; a temporary one otherwise. */
  storeDir?: string
  port?: number
  /** The whole configuration instead of the test's own; `port` and `storeDir` must be in it and given here. */
  config?: string
  /** Lines added to the test's own configuration. */
  extra?: string
}

/** What of tap's `t` this needs. */
export interface Teardown {
  teardown(fn: () => Promise<void>): unknown
}

/** Where Debian's package and the usual hand installation put it. */
const BINARIES = ['/usr/sbin/nats-server', '/usr/local/bin/nats-server', '/usr/bin/nats-server']

export const natsServerBinary: string | undefined = BINARIES.find(existsSync)

/** Skip reason for tests, or false. */
export const natsServerAbsent: string | false =
  natsServerBinary === undefined ? 'nats-server is not installed: apt install nats-server' : false

/** A server that has not opened its port by then never will, milliseconds. */
const READY_MS = 10_000
const STOP_MS = 10_000

/** Whether the server greets on this port. It opens the port for clients after JetStream has recovered its streams. */
function greets(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    const end = (yes: boolean) => {
      socket.destroy()
      resolve(yes)
    }
    socket.once('data', data => end(data.toString().startsWith('INFO')))
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
  })
}

/** Starts a server and hands it to the test: it is disposed of when `t` ends. */
export async function startNats(t: Teardown, options: NatsServerOptions = {}): Promise<NatsServer> {
  if (natsServerBinary === undefined) throw new Error('nats-server is not installed: apt install nats-server')
  const folder = await mkdtemp(join(tmpdir(), 'grail-nats-'))
  const store = options.storeDir ?? join(folder, 'store')
  const port = options.port ?? (await freePort())
  const file = join(folder, 'nats.conf')
  const own = `host: 127.0.0.1
port: ${port}
max_payload: 8388608
jetstream { store_dir: ${JSON.stringify(store)} }
${options.extra ?? ''}
`
  await writeFile(file, options.config ?? own, { mode: 0o600 })

  let child: ChildProcess | undefined
  let printed = ''

  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null

  async function start(): Promise<void> {
    printed = ''
    const started = spawn(...boundToUs(natsServerBinary!, ['-c', file]), { stdio: ['ignore', 'ignore', 'pipe'] })
    child = started
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      printed = (printed + text).slice(-20_000)
    })
    const end = Date.now() + READY_MS
    while (!(await greets(port))) {
      if (!running()) throw new Error(`nats-server ended while starting:\n${printed}`)
      if (Date.now() > end) throw new Error(`nats-server does not answer on port ${port}:\n${printed}`)
      await sleep(10)
    }
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (child === undefined || !running()) return
    const ended = once(child, 'exit')
    child.kill(signal)
    const late = new AbortController()
    await Promise.race([ended, sleep(STOP_MS, undefined, { signal: late.signal }).catch(() => {})])
    late.abort()
    if (running()) {
      child.kill('SIGKILL')
      await ended
    }
  }

  const server: NatsServer = {
    url: `nats://127.0.0.1:${port}`,
    port,
    get pid() {
      return child?.pid ?? -1
    },
    output: () => printed,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    restart: start,
    async dispose() {
      // SIGKILL ends a paused server too.
      await end('SIGKILL')
      await rm(folder, { recursive: true, force: true })
    },
  }
  t.teardown(() => server.dispose())
  try {
    await start()
  } catch (e) {
    await server.dispose()
    throw e
  }
  return server
}

/** A connection to a test's server, closed when `t` ends. The signal is of the test's own patience. */
export async function brokerOf(t: Teardown, server: NatsServer, options: Partial<BrokerOptions> = {}): Promise<Broker> {
  const broker = await connectBroker({ servers: [server.url], name: 'test', signal: inTime(), ...options })
  t.teardown(() => broker.drain())
  return broker
}

/** No wait in a test is without end, milliseconds. */
const TEST_MS = 120_000

/** The signal for whatever a test does that should simply succeed. */
export function inTime(): AbortSignal {
  return AbortSignal.timeout(TEST_MS)
}

/** Looks until `look` gives something, for what no event tells of; fails by name. */
export async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const end = Date.now() + TEST_MS
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (Date.now() > end) throw new Error(`never: ${what}`)
    await sleep(10)
  }
}

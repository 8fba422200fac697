import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { followJournal, type JournalEvent } from '../../actors/journal.js'
import { FLEET } from '../../actors/streams.js'
import { type Broker, type ClaimEntry, claims, presentKeys } from '../../nats/index.js'
import type { Bucket } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { type DevChain, startDevChain } from '../../src/chain/dev/dev-chain.js'
import { rehearsalCheckpoint } from '../../src/engine/rehearsal/checkpoint.js'
import { bundledTokenizerFolder } from '../../src/environment/tokenizer.js'
import { packageRoot } from '../../src/package-root.js'
import { createRehearsalWallet } from '../../src/wallet/wallet.js'
import { claimsOf } from '../../src/window/claim.js'
import { brokerOf, type NatsServer, startNats, type Teardown, until } from './nats-server.js'

// A whole fleet on one machine: a real broker, real processes started as supervisord starts them, the development chain
// behind the real client, a bucket. Signals are real.

export interface WorldOptions {
  generators?: number
  /** 30 of them are a window. Deadline, margins and tail take 8.5 s of it: 600 ms leave a little under 10 s to mine in. */
  blockMs?: number
  paceMs?: number
  maxTokens?: number
  /** Text of the [bucket] section; default: a folder. */
  bucket?: string
  openBucket?: () => Bucket
  /** Broker address for one actor, e.g. a proxy in front of the server. */
  brokerFor?: Record<string, string>
  environment?: string
  /** Start the actors? Default: all of them. */
  actors?: string[]
  finalityLag?: number
  natsStore?: string
}

export interface Actor {
  readonly name: string
  readonly pid: number
  /** Lines it has written. */
  readonly lines: readonly string[]
  /** A real signal. */
  signal(name: NodeJS.Signals): void
  /** SIGKILL; resolves when the process is gone. It is started again as supervisord would. */
  kill(): Promise<void>
  /** SIGKILL, and stays away. */
  bury(): Promise<void>
  /** SIGTERM, waits for the end, stays away. Returns the exit code. */
  stop(): Promise<number | null>
}

export interface World {
  folder: string
  nats: NatsServer
  broker: Broker
  chain: DevChain
  bucket: Bucket
  hotkey: string
  actors: Map<string, Actor>
  actor(name: string): Actor
  /** Every event of the journal so far, in order. */
  events: readonly JournalEvent[]
  /** Claims of every window and epoch that was opened, by `window.epoch`. */
  claims: ReadonlyMap<string, readonly ClaimEntry[]>
  /** The first event, past or to come, that `matches`. Rejects by name when it does not come in time. */
  event<K extends JournalEvent['kind']>(
    kind: K,
    matches?: (event: Extract<JournalEvent, { kind: K }>) => boolean,
  ): Promise<Extract<JournalEvent, { kind: K }>>
  /** Starts an actor that is not running. */
  start(name: string): Actor
  close(): Promise<void>
}

/** No wait of a test is longer than two windows of its world and the start of its processes, ms. */
const WAIT_MS = 90_000

/** supervisord waits a moment before it starts a program again. */
const RESTART_MS = 200

/** How the program is started: compiled beside compiled tests, through tsx beside sources. */
function program(): string[] {
  return import.meta.url.endsWith('.ts')
    ? ['--import', 'tsx', join(packageRoot, 'supervisor', 'main.ts')]
    : [join(packageRoot, 'dist', 'supervisor', 'main.js')]
}

export async function startWorld(t: Teardown, options: WorldOptions = {}): Promise<World> {
  const { generators = 3, blockMs = 600, paceMs = 600, maxTokens = 64 } = options
  const folder = await mkdtemp(join(tmpdir(), 'grail-world-'))
  const nats = await startNats(t, options.natsStore === undefined ? {} : { storeDir: options.natsStore })
  const { ss58 } = await createRehearsalWallet(join(folder, 'wallets'))
  await rehearsalCheckpoint({
    folder: join(folder, 'checkpoint'),
    tokenizerFolder: bundledTokenizerFolder(),
    environment: options.environment ?? 'sat',
    generation: { maxTokens, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 },
    thinkingMode: 'instructed',
  })
  const chain = await startDevChain({
    blockMs,
    startBlock: 2_997,
    finalityLag: options.finalityLag ?? 2,
    register: [ss58],
    seed: folder,
  })
  // No block comes before the whole fleet is there: how long that takes is the machine's affair.
  chain.stall(true)
  await mkdir(join(folder, 'bucket'))
  const bucketText = options.bucket ?? `kind = "dir"\nfolder = "bucket"\nrehearsal = true`
  const inventory = (server: string) => `
[fleet]
state = "."
log_level = "debug"
[nats]
servers = ["${server}"]
[chain]
endpoints = ["${chain.url}"]
stall_ms = 20000
[wallet]
path = "wallets"
cold = "rehearsal"
[bucket]
${bucketText}
[checkpoint]
folder = "checkpoint"
[engine]
name = "rehearsal"
pace_ms = ${paceMs}
[policy]
first_tail_ms = 1500
presence_ms = 2000
lease_ms = 2000
[[hosts]]
name = "test"
roles = ["controller", "aggregator", "uploader"]
${'[[hosts.generators]]\n'.repeat(generators)}`
  await writeFile(join(folder, 'grail.toml'), inventory(nats.url))
  for (const [actor, url] of Object.entries(options.brokerFor ?? {}))
    await writeFile(join(folder, `${actor}.toml`), inventory(url))

  const broker = await brokerOf(t, nats)
  const events: JournalEvent[] = []
  const claimed = new Map<string, ClaimEntry[]>()
  const waiting = new Set<() => void>()
  const end = new AbortController()
  const actors = new Map<string, Actor>()
  const running = new Set<ChildProcess>()
  let closed = false

  const begin = (name: string): Actor => {
    const lines: string[] = []
    let buried = false
    let child: ChildProcess
    const spawnIt = () => {
      const [role = '', number] = name.split('-')
      child = spawn(
        process.execPath,
        [
          ...program(),
          'actor',
          role,
          '--config',
          join(folder, options.brokerFor?.[name] === undefined ? 'grail.toml' : `${name}.toml`),
          ...(number === undefined ? [] : ['--number', number]),
        ],
        { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_NO_WARNINGS: '1' }, cwd: packageRoot },
      )
      running.add(child)
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (data: Buffer) => lines.push(...data.toString().split('\n').filter(Boolean)))
      child.once('exit', () => {
        running.delete(child)
        // supervisord's autorestart
        if (!buried && !closed) setTimeout(() => !buried && !closed && spawnIt(), RESTART_MS)
      })
    }
    spawnIt()
    const gone = async (signal: NodeJS.Signals) => {
      const dying = child
      if (dying.exitCode !== null || dying.signalCode !== null) return dying.exitCode
      const exit = once(dying, 'exit')
      dying.kill(signal)
      const [code] = (await exit) as [number | null]
      return code
    }
    const actor: Actor = {
      name,
      get pid() {
        return child.pid ?? -1
      },
      lines,
      signal: signal => child.kill(signal),
      kill: async () => {
        await gone('SIGKILL')
      },
      bury: async () => {
        buried = true
        await gone('SIGKILL')
      },
      stop: async () => {
        buried = true
        return gone('SIGTERM')
      },
    }
    actors.set(name, actor)
    return actor
  }

  const names = options.actors ?? [
    'controller',
    'aggregator',
    'uploader',
    ...Array.from({ length: generators }, (_, i) => `generator-${i}`),
  ]
  for (const name of names) begin(name)

  const world: World = {
    folder,
    nats,
    broker,
    chain,
    bucket: options.openBucket?.() ?? openDirBucket({ folder: join(folder, 'bucket') }),
    hotkey: ss58,
    actors,
    actor(name) {
      const found = actors.get(name)
      if (!found) throw new Error(`there is no actor ${name}`)
      return found
    },
    events,
    claims: claimed,
    async event(kind, matches = () => true) {
      type Wanted = Extract<JournalEvent, { kind: typeof kind }>
      const look = () => events.find((event): event is Wanted => event.kind === kind && matches(event as Wanted))
      const limit = Date.now() + WAIT_MS
      for (;;) {
        const found = look()
        if (found) return found
        const left = limit - Date.now()
        if (left <= 0) throw new Error(`never: ${kind}${describe(world)}`)
        await new Promise<void>(resolve => {
          const wake = () => {
            clearTimeout(timer)
            waiting.delete(wake)
            resolve()
          }
          const timer = setTimeout(wake, left)
          waiting.add(wake)
        })
      }
    },
    start: begin,
    async close() {
      if (closed) return
      closed = true
      await Promise.all([...actors.values()].map(actor => actor.stop()))
      for (const child of running) child.kill('SIGKILL')
      end.abort()
      await journal?.done.catch(() => {})
      world.bucket.close()
      await chain.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
  t.teardown(() => world.close())

  // The streams come with the first actor that is up.
  let journal: ReturnType<typeof followJournal> | undefined
  const follow = async () => {
    for (;;) {
      journal = followJournal(broker, 'all', {
        signal: end.signal,
        onBroken: (subject, error) => {
          throw new Error(`${subject}: ${String(error)}`)
        },
        onEvent: event => {
          events.push(event)
          if (event.kind === 'opened') followClaims(event.window, event.epoch)
          for (const wake of [...waiting]) wake()
        },
      })
      try {
        return await journal.done
      } catch (error) {
        if (end.signal.aborted) return
        if ((error as { code?: string }).code !== 'not-found') throw error
        await new Promise(resolve => setTimeout(resolve, 50))
      }
    }
  }
  const followClaims = (window: number, epoch: number) => {
    const key = `${window}.${epoch}`
    if (claimed.has(key)) return
    const entries: ClaimEntry[] = []
    claimed.set(key, entries)
    claims(broker, claimsOf(window, epoch), {
      signal: end.signal,
      onClaim: entry => {
        entries.push(entry)
        for (const wake of [...waiting]) wake()
      },
    }).done.catch(() => {})
  }
  follow().catch(error => {
    if (!end.signal.aborted) throw error
  })
  await until(`${names.length} actors are present${describe(world)}`, async () => {
    const present = await presentKeys(broker, FLEET, { signal: end.signal }).catch(() => [])
    return present.length >= names.length || undefined
  })
  chain.stall(false)
  return world
}

/** What a failing test needs to see. */
export function describe(world: World): string {
  const LAST = 15
  const events = world.events.slice(-LAST).map(event => `${event.kind} ${event.window}.${event.epoch} ${event.index}`)
  const logs = [...world.actors.values()].flatMap(actor => [
    `--- ${actor.name}`,
    ...actor.lines.slice(-LAST).map(line => line.slice(0, 600)),
  ])
  return `\nevents:\n${events.join('\n')}\n${logs.join('\n')}`
}

/** Text of a file under the world's folder. */
export function readFrom(world: World, name: string): Promise<string> {
  return readFile(join(world.folder, name), 'utf8')
}

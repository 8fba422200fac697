import { writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NODE_ARGS, NODE_ENVIRONMENT } from '../../actors/aggregator/node-process.js'
import { reissued, summaryLive } from '../../actors/controller/messages.js'
import { followJournal, type JournalEvent } from '../../actors/journal.js'
import { FLEET } from '../../actors/streams.js'
import { type Broker, type ClaimEntry, claims, presentKeys } from '../../nats/index.js'
import type { Bucket } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { type DevChain, startDevChain } from '../../src/chain/dev/dev-chain.js'
import { rehearsalCheckpoint } from '../../src/engine/rehearsal/checkpoint.js'
import { bundledTokenizerFolder } from '../../src/environment/tokenizer.js'
import { createRehearsalWallet } from '../../src/wallet/wallet.js'
import { WINDOW_BLOCKS, windowOf } from '../../src/window/block.js'
import { claimsOf } from '../../src/window/claim.js'
import type { Summary } from '../../src/window/summary.js'
import { type Actor, type Crash, FIRST_HOST, startActor } from './actor-process.js'
import { type NatsProxy, natsProxy } from './nats-proxy.js'
import { brokerOf, type NatsServer, startNats, type Teardown } from './nats-server.js'
import { startTwoNodes, type TwoNodes } from './two-nodes.js'

// A whole fleet on one machine: a real broker, real processes started as supervisord starts them, the development chain
// behind the real client, a bucket. Signals are real.

export interface WorldOptions {
  generators?: number
  /** On the host `spare`; `actors` names those that are started. */
  spareGenerators?: number
  /** 30 of them are a window. Deadline, margins and tail take 10 s of it: 600 ms leave 8 s to mine in. */
  blockMs?: number
  /** Blocks come as often as `blockMs` says, however busy the machine is: a measurement is of windows of one length. */
  exactBlocks?: boolean
  paceMs?: number
  /** Milliseconds per group of single generators. */
  paceOf?: Record<string, number>
  maxTokens?: number
  /** Text of the [engine] section; default: the rehearsal engine at its pace. */
  engine?: string
  /** Makes the checkpoint that is mined with in the folder it is given; default: one for rehearsals, without weights. */
  makeCheckpoint?: (folder: string) => Promise<void>
  /** Mines with the checkpoints of a trainer: its bucket is the folder `trainer`, filled by `publish` before anything starts. Each host keeps copies of its own. */
  publish?: (bucket: Bucket, checkpointFolder: string) => Promise<void>
  /** Text of the [bucket] section; default: a folder. */
  bucket?: string
  openBucket?: () => Bucket
  /** Tail assumed before a window was measured, ms: what dies in the tail of the first window has so long to come back. */
  firstTailMs?: number
  /** Lines added to the [policy] section. */
  policy?: string
  /** Actors that reach the broker through a proxy of their own: `world.proxy(name)`. */
  proxied?: string[]
  /** Added to every actor's environment. */
  env?: Record<string, string>
  /** Arguments for every actor's node. */
  nodeArgs?: readonly string[]
  environment?: string
  /** Which actors to start, `role`, `role-number` or `role@spare`. Default: one of each role on the host `test`, and all generators. */
  actors?: string[]
  finalityLag?: number
  /** The controller reaches the chain over two nodes, each behind a proxy: `world.nodes()`. */
  twoNodes?: boolean
  /** No new block for this long is a stall, ms. */
  stallMs?: number
  /** Lines added to the [chain] section. */
  chain?: string
}

/** An index taken back from a dead generator, as it was put on the queue. */
export interface Reissue {
  window: number
  epoch: number
  index: number
  /** When it was heard of here, unix ms: a little after the server had it. */
  heardMs: number
}

export interface World {
  folder: string
  nats: NatsServer
  broker: Broker
  chain: DevChain
  /** The two nodes of a world that has them. */
  nodes(): TwoNodes
  bucket: Bucket
  hotkey: string
  actors: ReadonlyMap<string, Actor>
  actor(name: string): Actor
  /** The proxy of an actor named in `proxied`. */
  proxy(name: string): NatsProxy
  /** Every event of the journal so far, in order. */
  events: readonly JournalEvent[]
  /** Claims of every window and epoch that was opened, by `window.epoch`, in order. */
  claims: ReadonlyMap<string, readonly ClaimEntry[]>
  /** Keys that were asked for in a window, by `window.epoch`: heard as they were published, also when nobody reads the bucket in time. */
  claimKeys: ReadonlyMap<string, ReadonlySet<string>>
  /** What was said on grail.summary. */
  summaries: readonly Summary[]
  reissues: readonly Reissue[]
  /** Processes that ended without a signal from here. */
  crashes: readonly Crash[]
  /** Exit codes of those that were running when the fleet was stopped, by name. */
  exits: ReadonlyMap<string, number | null>
  /** Windows after which the chain was made to jump: their true end says nothing about their deadline. */
  cutShort: ReadonlySet<number>
  /** Resolves as soon as `look` gives something; looked at anew whenever anything was heard. Rejects by name when that takes too long. */
  until<T>(what: string, look: () => T | undefined | false): Promise<T>
  /** Looks again and again, for what no event tells. */
  polled(what: string, look: () => boolean | Promise<boolean>): Promise<void>
  /** The first event, past or to come, that `matches`. */
  event<K extends JournalEvent['kind']>(
    kind: K,
    matches?: (event: Extract<JournalEvent, { kind: K }>) => boolean,
  ): Promise<Extract<JournalEvent, { kind: K }>>
  /** The newest opened window's first block. */
  window(): number
  /** Resolves once an actor's process of this moment, or the next one, has said that it holds its role's lease. */
  active(name: string): Promise<void>
  /** Resolves once a line of an actor's log matches. */
  says(name: string, line: RegExp): Promise<void>
  /** Starts an actor more. */
  begin(name: string): Actor
  /** Resolves once a process of this instance is present. */
  present(instance: string): Promise<void>
  /** Makes all blocks up to this one at once; only the last is announced. */
  jump(block: number): void
  /** Jumps to the first block of the next window, once the present one is over. Resolves with its `opened`. */
  nextWindow(): Promise<Extract<JournalEvent, { kind: 'opened' }>>
  close(): Promise<void>
}

/** A test file of a fleet ends by then, on a machine as busy as they come, ms; every wait in it is shorter. */
export const PATIENCE_MS = 280_000
/** No wait of a test is longer than two windows of its world and the start of its processes on a busy machine, ms. */
const WAIT_MS = 90_000
/** Eleven processes on a machine with ten times the work it has cores for, ms. */
const START_WAIT_MS = 180_000
/** A fleet is up after so long per process, two at a time, ms; where it takes longer, windows are longer in proportion, up to SLOWEST times. */
const START_MS = 2_000
const SLOWEST = 2
/** The aggregator's process is started as supervisord starts it. */
const AS_SUPERVISED = { args: NODE_ARGS, environment: NODE_ENVIRONMENT }
/** What a role logs when it has its lease. */
const ACTIVE = /"msg":"active"/
/** A claim as it is published: window, epoch and key. */
const CLAIM = /^\$KV\.grail_claims_(\d+)_(\d+)\.(.+)$/
/** What nobody tells of is looked for this often, ms. */
const LOOK_MS = 100

const inventory = (name: string, server: string, endpoints: readonly string[], options: WorldOptions) => `
[fleet]
state = "."
log_level = "debug"
[nats]
servers = ["${server}"]
[chain]
endpoints = ${JSON.stringify(endpoints)}
stall_ms = ${options.stallMs ?? 20_000}
drand = []
${options.chain ?? ''}
[wallet]
path = "wallets"
cold = "rehearsal"
[bucket]
${options.bucket ?? 'kind = "dir"\nfolder = "bucket"\nrehearsal = true'}
[checkpoint]
${options.publish ? `source = "trainer"\ntrainer_folder = "trainer"\ncache = "cache-${name.split('@')[1] ?? FIRST_HOST}"` : 'folder = "checkpoint"'}
[engine]
${options.engine ?? `name = "rehearsal"\npace_ms = ${options.paceOf?.[name] ?? options.paceMs ?? 600}`}
[policy]
first_tail_ms = ${options.firstTailMs ?? 2_400}
${options.policy ?? ''}
[[hosts]]
name = "${FIRST_HOST}"
roles = ["controller", "aggregator", "uploader"]
${'[[hosts.generators]]\n'.repeat(options.generators ?? 3)}
[[hosts]]
name = "spare"
roles = ["controller", "aggregator", "uploader"]
${'[[hosts.generators]]\n'.repeat(options.spareGenerators ?? 0)}`

export async function startWorld(t: Teardown, options: WorldOptions = {}): Promise<World> {
  const { generators = 3, blockMs = 600, maxTokens = 64 } = options
  const folder = await mkdtemp(join(tmpdir(), 'grail-world-'))
  const nats = await startNats(t)
  const { ss58 } = await createRehearsalWallet(join(folder, 'wallets'))
  const makeCheckpoint =
    options.makeCheckpoint ??
    ((target: string) =>
      rehearsalCheckpoint({
        folder: target,
        tokenizerFolder: bundledTokenizerFolder(),
        environment: options.environment ?? 'sat',
        generation: { maxTokens, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 },
        thinkingMode: 'instructed',
      }))
  await makeCheckpoint(join(folder, 'checkpoint'))
  if (options.publish) {
    await mkdir(join(folder, 'trainer'))
    await options.publish(openDirBucket({ folder: join(folder, 'trainer') }), join(folder, 'checkpoint'))
  }
  const ofChain = {
    blockMs,
    startBlock: 2_997,
    finalityLag: options.finalityLag ?? 2,
    register: [ss58],
    seed: folder,
  }
  const nodes = options.twoNodes ? await startTwoNodes(ofChain) : undefined
  const chain = nodes?.chain ?? (await startDevChain(ofChain))
  // No block comes before the whole fleet is there: how long that takes is the machine's affair.
  chain.stall(true)
  await mkdir(join(folder, 'bucket'))
  const proxies = new Map<string, NatsProxy>()
  for (const name of options.proxied ?? []) proxies.set(name, await natsProxy(nats.port))

  const broker = await brokerOf(t, nats)
  const events: JournalEvent[] = []
  const claimed = new Map<string, ClaimEntry[]>()
  const claimKeys = new Map<string, Set<string>>()
  const summaries: Summary[] = []
  const reissues: Reissue[] = []
  const crashes: Crash[] = []
  const cutShort = new Set<number>()
  const exits = new Map<string, number | null>()
  const waiting = new Set<() => void>()
  const end = new AbortController()
  const actors = new Map<string, Actor>()
  let following: Promise<void> | undefined
  let closed = false

  const heard = () => {
    for (const wake of [...waiting]) wake()
  }
  broker.nc.subscribe(summaryLive.wildcard, {
    callback: (_, { data }) => {
      summaries.push(summaryLive.decode(data))
      heard()
    },
  })
  broker.nc.subscribe('$KV.*.>', {
    callback: (_, { subject }) => {
      const [, window, epoch, key] = CLAIM.exec(subject) ?? []
      if (key === undefined) return
      const keys = claimKeys.get(`${window}.${epoch}`) ?? new Set()
      claimKeys.set(`${window}.${epoch}`, keys.add(key))
    },
  })
  broker.nc.subscribe(reissued.wildcard, {
    callback: (_, { subject }) => {
      reissues.push({ ...reissued.holes(subject)!, heardMs: Date.now() })
      heard()
    },
  })

  const world: World = {
    folder,
    nats,
    broker,
    chain,
    nodes() {
      if (!nodes) throw new Error('this world has one node: give it twoNodes')
      return nodes
    },
    bucket: options.openBucket?.() ?? openDirBucket({ folder: join(folder, 'bucket') }),
    hotkey: ss58,
    actors,
    actor: name => named(actors, name, 'actor'),
    proxy: name => named(proxies, name, 'proxy'),
    events,
    claims: claimed,
    claimKeys,
    summaries,
    reissues,
    crashes,
    exits,
    cutShort,
    async until(what, look) {
      const limit = Date.now() + WAIT_MS
      for (;;) {
        const found = look()
        if (found !== undefined && found !== false) return found
        const left = limit - Date.now()
        if (left <= 0) throw new Error(`never: ${what}${describe(world)}`)
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
    event(kind, matches = () => true) {
      type Wanted = Extract<JournalEvent, { kind: typeof kind }>
      return world.until(`event ${kind}`, () =>
        events.find((event): event is Wanted => event.kind === kind && matches(event as Wanted)),
      )
    },
    window: () => Math.max(...events.filter(({ kind }) => kind === 'opened').map(({ window }) => window)),
    polled: (what, look) => untilPolled(what, world, look),
    active: name =>
      untilPolled(`${name} is active`, world, () => world.actor(name).life.some(line => ACTIVE.test(line))),
    says: (name, line) =>
      untilPolled(`${name} says ${line.source}`, world, () => world.actor(name).lines.some(said => line.test(said))),
    begin(name) {
      const process = name.startsWith('aggregator') ? AS_SUPERVISED : { args: [], environment: {} }
      const actor = startActor({
        name,
        config: configOf(name),
        env: { ...process.environment, ...options.env },
        nodeArgs: [...process.args, ...(options.nodeArgs ?? [])],
        onCrash: crash => closed || crashes.push(crash),
      })
      actors.set(name, actor)
      return actor
    },
    present: instance => untilPolled(`${instance} is present`, world, async () => (await present()).includes(instance)),
    jump(block) {
      const { number } = chain.head()
      for (let window = windowOf(number); window < block; window += WINDOW_BLOCKS) cutShort.add(window)
      if (block > number) chain.newBlock(block - number)
    },
    async nextWindow() {
      const window = world.window()
      const epoch = Math.max(...events.filter(event => event.window === window).map(event => event.epoch))
      await world.event('summarised', event => event.window === window && event.epoch === epoch)
      const next = windowOf(chain.head().number) + WINDOW_BLOCKS
      world.jump(next)
      return world.event('opened', event => event.window === next)
    },
    async close() {
      if (closed) return
      closed = true
      await Promise.all(
        [...actors.values()].map(async actor => {
          if (actor.running) exits.set(actor.name, await actor.stop())
          else await actor.stop()
        }),
      )
      end.abort()
      await following?.catch(() => {})
      for (const proxy of proxies.values()) await proxy.close()
      world.bucket.close()
      await nodes?.close()
      await chain.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
  t.teardown(() => world.close())

  const names = options.actors ?? [
    'controller',
    'aggregator',
    'uploader',
    ...Array.from({ length: generators }, (_, i) => `generator-${i}`),
  ]
  const startedMs = Date.now()
  for (const name of names) world.begin(name)
  // The streams come with the first actor that is up: until then there is nobody.
  const allThere = async () => (await present()).length >= names.length
  await untilPolled(`${names.length} actors are present`, world, allThere, START_WAIT_MS)
  following = follow()
  following.catch(error => {
    if (!end.signal.aborted) throw error
  })
  // What a window leaves for a process to come back in is meant for a machine that is not busy with others.
  const startMs = Date.now() - startedMs
  const slower = options.exactBlocks ? 1 : Math.max(1, startMs / (names.length * START_MS))
  chain.setBlockTime(blockMs * Math.min(SLOWEST, slower))
  chain.stall(false)
  return world

  function configOf(name: string): string {
    const file = join(folder, `${name}.toml`)
    writeFileSync(file, inventory(name, proxies.get(name)?.url ?? nats.url, nodes?.urls ?? [chain.url], options))
    return file
  }

  function present(): Promise<string[]> {
    return presentKeys(broker, FLEET, { signal: AbortSignal.timeout(WAIT_MS) }).catch(() => [])
  }

  function follow(): Promise<void> {
    return followJournal(broker, 'all', {
      signal: end.signal,
      onBroken: (subject, error) => {
        throw new Error(`${subject}: ${String(error)}`)
      },
      onEvent: event => {
        events.push(event)
        if (event.kind === 'opened') followClaims(event.window, event.epoch)
        heard()
      },
    }).done
  }

  function followClaims(window: number, epoch: number): void {
    const entries: ClaimEntry[] = []
    claimed.set(`${window}.${epoch}`, entries)
    claims(broker, claimsOf(window, epoch), {
      signal: end.signal,
      onClaim: entry => {
        entries.push(entry)
        heard()
      },
      // It ends when the bucket is dropped, at the window's summary.
    }).done.catch(() => {})
  }
}

/** For what nobody tells of: looks again and again. */
async function untilPolled(
  what: string,
  world: World,
  look: () => boolean | Promise<boolean>,
  waitMs = WAIT_MS,
): Promise<void> {
  const limit = Date.now() + waitMs
  while (!(await look())) {
    if (Date.now() > limit) throw new Error(`never: ${what}${describe(world)}`)
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
}

function named<T>(things: ReadonlyMap<string, T>, name: string, what: string): T {
  const found = things.get(name)
  if (!found) throw new Error(`there is no ${what} ${name}`)
  return found
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

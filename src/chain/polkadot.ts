import type { Chain, ChainEvent, Head } from './chain.js'
import { ChainError } from './chain-error.js'
import { type Clock, wallClock } from './clock.js'
import { eventStream } from './event-stream.js'
import { follow } from './follow.js'
import { finalHashAt, finalNumberAt, hashAt, headerAt, timestampAt } from './head.js'
import { type Link, type LinkOptions, openLink } from './link.js'
import { rotation } from './rotation.js'
import { SPEC_NAME } from './subtensor.js'

/** An endpoint that is more than this many blocks behind the best number seen is dropped. */
const LAG_BLOCKS = 3

/** The default of `stallMs`: nearly four blocks of 12 s. */
const STALL_MS = 45_000

/** Limits for one try, ms. */
const CONNECT_MS = 10_000
const REQUEST_MS = 8_000
const READY_MS = 20_000
const PING_MS = 5_000

/** Where a stall is to be noticed sooner, so is a half-open link: at least this many pings per `stallMs`. */
const PINGS_PER_STALL = 4

/** Another endpoint is asked for its head this often, ms: nothing else shows that ours is behind. */
const CROSS_CHECK_MS = 120_000

/** The watch looks this often per `stallMs`. */
const LOOKS_PER_STALL = 20

export interface OpenChainOptions {
  /** ws:// or wss:// addresses, the preferred one first. */
  endpoints: readonly string[]
  /** Hash of block 0; a node with another one is refused. undefined takes any. */
  genesis?: string
  /** Default node-subtensor. */
  specName?: string
  /** No new head for this long is a stall, ms; default 45,000. A link is probed at a third of it. */
  stallMs?: number
  connectMs?: number
  requestMs?: number
  readyMs?: number
  pingMs?: number
  crossCheckMs?: number
  clock?: Clock
  /** Jitter of pauses; [0, 1). */
  random?: () => number
}

/** How the connection stands, for people. */
export interface ChainStatus {
  /** undefined while there is none. */
  endpoint: string | undefined
  genesisHash: string | undefined
  specVersion: number | undefined
  best: Head | undefined
  final: { number: number; hash: string } | undefined
}

/** The chain over one endpoint at a time; beyond Chain, what reads.ts and commit.ts build on. */
export interface PolkadotChain extends Chain {
  status(): ChainStatus
  /**
   * The link of the moment; waits for one. Throws ChainError 'other-chain' when every endpoint is of another chain; the
   * signal's reason when it aborts. Of use for the next few calls only: links come and go.
   */
  link(signal: AbortSignal): Promise<Link>
  /** A link to another endpoint than the present one, for a second opinion; undefined when there is none. The caller closes it. */
  secondLink(signal: AbortSignal): Promise<Link | undefined>
}

/**
 * Follows subtensor over `endpoints`, one connection at a time, each thrown away when it is in doubt; starts at once and
 * goes on until `close`. Calls fail at once with ChainError 'not-connected' while no link is up. Best heads never go back
 * by a change of endpoints: only when the node itself reorganises, or when all endpoints agree to be behind.
 */
export function openChain(options: OpenChainOptions): PolkadotChain {
  if (options.endpoints.length === 0) throw new RangeError('no chain endpoint is configured')
  const clock = options.clock ?? wallClock
  const stallMs = options.stallMs ?? STALL_MS
  const crossCheckMs = options.crossCheckMs ?? CROSS_CHECK_MS
  const closing = new AbortController()
  const { signal } = closing
  const stream = eventStream()
  const turns = rotation(options.endpoints, options.random ?? Math.random)
  /** Endpoints of another chain, and endpoints that were behind, since one worked. */
  const refused = new Map<string, ChainError>()
  const behind = new Set<string>()
  const waiting = new Set<() => void>()

  let link: Link | undefined
  let best: Head | undefined
  let bestSeen = 0
  let final: { number: number; hash: string } | undefined
  let headMs = clock.now()
  let replace: (why: string) => void = () => {}

  const linkOptions = (endpoint: string): LinkOptions => ({
    endpoint,
    genesis: options.genesis,
    specName: options.specName ?? SPEC_NAME,
    connectMs: options.connectMs ?? CONNECT_MS,
    requestMs: options.requestMs ?? REQUEST_MS,
    readyMs: options.readyMs ?? READY_MS,
    pingMs: options.pingMs ?? Math.min(PING_MS, stallMs / PINGS_PER_STALL),
    signal,
  })

  const others = () => options.endpoints.filter(endpoint => endpoint !== link?.connection.endpoint)

  const tellWaiting = () => {
    for (const tell of waiting) tell()
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const endpoint = turns.next()
      const why = await generation(endpoint).catch((error: unknown) => {
        if (error instanceof ChainError && error.code === 'other-chain') refused.set(endpoint, error)
        return (error as Error).message
      })
      if (signal.aborted) return
      stream.emit({ kind: 'down', endpoint, why })
      tellWaiting()
      await clock.sleep(turns.pauseMs(), signal)
    }
  }

  /** One connection from opening to end; resolves with why it ended. */
  async function generation(endpoint: string): Promise<string> {
    const mine = await openLink(linkOptions(endpoint))
    const over = new AbortController()
    let given: string | undefined
    try {
      const start = await headerAt(mine.connection, undefined, signal)
      // When all endpoints are behind, what was seen before is not to be had any more.
      const allBehind = behind.size === options.endpoints.length
      if (allBehind) {
        bestSeen = start.number
        final = undefined
      } else if (start.number < bestSeen - LAG_BLOCKS) {
        behind.add(endpoint)
        return `lags: block ${start.number}, ${bestSeen - start.number} behind the best seen`
      }
      refused.clear()
      link = mine
      replace = why => {
        given ??= why
        over.abort()
      }
      stream.emit({ kind: 'up', endpoint })
      tellWaiting()
      const upMs = clock.now()
      let caughtUp = allBehind
      const why = await follow({
        link: mine,
        clock,
        stallMs,
        signal: AbortSignal.any([signal, over.signal]),
        onBest: head => {
          bestSeen = Math.max(bestSeen, head.number)
          caughtUp ||= !best || head.number >= best.number
          if (!caughtUp) {
            if (clock.now() - upMs < stallMs) return
            behind.add(endpoint)
            throw new ChainError('connection', `lags: block ${head.number}, ${bestSeen} was seen`, 'later')
          }
          turns.worked()
          behind.clear()
          best = head
          headMs = clock.now()
          stream.emit({ kind: 'best', head })
        },
        onFinal: head => {
          if (final && head.number <= final.number) return
          final = head
          stream.emit({ kind: 'final', ...head })
        },
      })
      return given ?? why
    } finally {
      over.abort()
      if (link === mine) link = undefined
      mine.close('replaced')
    }
  }

  /** Tells of stalls, and compares the link with other endpoints: a node that is behind looks well by itself. */
  async function watch(): Promise<void> {
    let toldMs = headMs
    let comparedMs = clock.now()
    for (let turn = 0; !signal.aborted; ) {
      await clock.sleep(stallMs / LOOKS_PER_STALL, signal)
      const now = clock.now()
      const stalled = now - Math.max(headMs, toldMs) >= stallMs
      if (stalled) {
        toldMs = now
        stream.emit({ kind: 'stalled', sinceMs: now - headMs })
      }
      if (!stalled && now - comparedMs < crossCheckMs) continue
      comparedMs = now
      const other = others()[turn++ % Math.max(1, others().length)]
      if (link && other !== undefined) await compare(other, stalled)
    }
  }

  async function compare(other: string, stalled: boolean): Promise<void> {
    const number = await bestOf(other).catch(() => undefined)
    if (number === undefined) return
    bestSeen = Math.max(bestSeen, number)
    const ours = best?.number ?? 0
    if (number <= ours + (stalled ? 0 : LAG_BLOCKS)) return
    turns.prefer(other)
    replace(`lags: block ${ours}, ${number - ours} behind ${other}`)
  }

  async function bestOf(endpoint: string): Promise<number> {
    const probe = await openLink(linkOptions(endpoint))
    try {
      return (await headerAt(probe.connection, undefined, signal)).number
    } finally {
      probe.close('probed')
    }
  }

  const present = (): Link => {
    if (link) return link
    throw new ChainError('not-connected', 'no chain endpoint is connected', 'later')
  }

  const done = Promise.all([run(), watch()])

  return {
    events: readerSignal => {
      const first: ChainEvent[] = []
      if (link) first.push({ kind: 'up', endpoint: link.connection.endpoint })
      if (link && best) first.push({ kind: 'best', head: best })
      if (link && final) first.push({ kind: 'final', ...final })
      return stream.read(readerSignal, first)
    },
    hash: async (number, s) => await hashAt(present().connection, number, s),
    timestamp: async (number, s) => {
      const { connection } = present()
      const hash = await hashAt(connection, number, s)
      return hash === undefined ? undefined : await timestampAt(connection, hash, s)
    },
    finalized: async s => await finalNumberAt(present().connection, s),
    finalHash: async (number, s) => await finalHashAt(present().connection, number, s),
    status: () => ({
      endpoint: link?.connection.endpoint,
      genesisHash: link?.genesisHash,
      specVersion: link?.specVersion(),
      best,
      final,
    }),
    link: async s => {
      for (;;) {
        s.throwIfAborted()
        if (link) return link
        if (refused.size === options.endpoints.length) throw refused.values().next().value as ChainError
        if (signal.aborted) throw new ChainError('closed', 'the chain is closed', 'never')
        await new Promise<void>(resolve => {
          const tell = () => {
            waiting.delete(tell)
            s.removeEventListener('abort', tell)
            resolve()
          }
          waiting.add(tell)
          s.addEventListener('abort', tell)
        })
      }
    },
    secondLink: async s => {
      for (const other of others()) {
        const second = await openLink({ ...linkOptions(other), signal: AbortSignal.any([signal, s]) }).catch(
          () => undefined,
        )
        if (second) return second
        s.throwIfAborted()
      }
      return undefined
    },
    close: async () => {
      closing.abort()
      link?.close('closed')
      stream.end()
      tellWaiting()
      await done
    },
  }
}

import { ChainError } from './chain-error.js'
import type { Clock } from './clock.js'
import { headerAt, readHeader, timestampAt } from './head.js'
import type { Link } from './link.js'

/** Probes of a link whose heads are late come this many times per `stallMs`. */
const PROBES_PER_STALL = 3

/** The watch looks this often per `stallMs`. */
const LOOKS_PER_STALL = 20

export interface FollowOptions {
  link: Link
  clock: Clock
  /** No head for this long is a stall, ms. */
  stallMs: number
  /** A new best head of this link, timestamp read; heads that come faster than they are read are skipped. Throws to give the link up. */
  onBest(head: { number: number; hash: string; timestampMs: number }): void
  onFinal(head: { number: number; hash: string }): void
  signal: AbortSignal
}

/**
 * Follows one link until it is no good; resolves with the reason, also when the signal aborts. A link is no good when its
 * connection ends, when an answer takes too long, or when its head moves on without its subscription saying so.
 */
export async function follow(options: FollowOptions): Promise<string> {
  const { link, clock, stallMs } = options
  const { connection } = link
  const over = new AbortController()
  const signal = AbortSignal.any([options.signal, over.signal])
  let give: (why: string) => void = () => {}
  const given = new Promise<string>(resolve => {
    give = resolve
  })
  const attempt = (work: Promise<void>) => {
    work.catch((error: unknown) => give((error as Error).message))
  }

  let latest: unknown
  let reading = false
  let last: { number: number; hash: string } | undefined
  let lastMs = clock.now()

  async function readHeads(): Promise<void> {
    if (reading) return
    reading = true
    while (latest !== undefined) {
      const head = readHeader(latest)
      latest = undefined
      last = head
      const timestampMs = await timestampAt(connection, head.hash, signal)
      // a block that a reorg has taken away meanwhile: its successor is announced
      if (timestampMs !== undefined) options.onBest({ ...head, timestampMs })
    }
    reading = false
  }

  async function watch(): Promise<void> {
    let probedMs = clock.now()
    while (!signal.aborted) {
      await clock.sleep(stallMs / LOOKS_PER_STALL, signal)
      const now = clock.now()
      if (now - Math.max(lastMs, probedMs) < stallMs / PROBES_PER_STALL) continue
      probedMs = now
      const head = await headerAt(connection, undefined, signal)
      if (lastMs < now && last && head.number > last.number) {
        throw new ChainError('connection', `block ${head.number} is there, but was not announced`, 'later')
      }
    }
  }

  try {
    await connection.subscribe('chain_subscribeNewHeads', [], value => {
      latest = value
      lastMs = clock.now()
      attempt(readHeads())
    })
    await connection.subscribe('chain_subscribeFinalizedHeads', [], value => options.onFinal(readHeader(value)))
    attempt(watch())
    return await Promise.race([
      given,
      connection.gone,
      new Promise<string>(resolve => {
        options.signal.addEventListener('abort', () => resolve('closed'), { once: true })
        if (options.signal.aborted) resolve('closed')
      }),
    ])
  } finally {
    over.abort()
  }
}

import { performance } from 'node:perf_hooks'
import { millis, nuid } from 'nats'
import type { Broker } from './broker.js'
import { streamInfo } from './ensure.js'
import { BrokerError, brokerError } from './errors.js'
import { checkKey, kvStream, kvSubject } from './names.js'
import { ATTEMPT_MS } from './patience.js'
import { storeOnce } from './publish.js'
import { lastOfByLeader } from './read.js'
import { api } from './request.js'
import { pause } from './waiting.js'

// A lease is an entry in a bucket whose entries live for `ttlMs` by the server's clock. Whoever writes it first holds it; every
// write names the revision it replaces, so that nobody renews what has become another's.

export interface Lease {
  readonly key: string
  /** Grows with every new holding: work done under a smaller one is out of date. */
  readonly fence: number
  /** Comes when the lease is another's, or could not be renewed for its whole life by our own clock. */
  readonly lost: AbortSignal
  /** Gives it back, so that the next one need not wait for its end. Twice is harmless. */
  release(): Promise<void>
}

export interface LeaseOptions {
  /** Life of a lease that is not renewed, milliseconds: the bucket's own `maxAgeMs`. */
  ttlMs: number
  /** Ends the waiting. A lease that is held is kept until `release`, so that an actor can finish under it. */
  signal: AbortSignal
  onLost?: (why: BrokerError) => void
  /** Told who holds it, each time that changes. */
  onWaiting?: (holder: string) => void
  /** Monotonic milliseconds. */
  now?: () => number
}

/** Renewed so often per life: two renewals may fail. */
const RENEWALS_PER_LIFE = 3
/** Looked at so often per life by those who wait. */
const LOOKS_PER_LIFE = 10
const RETRIES_PER_LIFE = 20
/** Giving back is worth this much waiting, milliseconds. */
const RELEASE_MS = 1_000

interface Entry {
  holder: string
  /** One process's own: tells our unanswered write from another's. */
  session: string
  /** Absent in the first entry of a holding, whose revision it is. */
  fence?: number
}

/** A lease as we know it after a write of ours was answered. */
interface Held {
  fence: number
  /** Of our newest entry. */
  revision: number
  /** Until when nobody else can have it, by our own clock: reckoned from before the write was sent. */
  aliveUntil: number
}

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

function entryOf(bytes: Uint8Array): Entry | undefined {
  try {
    const value = JSON.parse(fromUtf8.decode(bytes)) as Partial<Entry>
    return typeof value.holder === 'string' && typeof value.session === 'string' ? (value as Entry) : undefined
  } catch {
    return undefined
  }
}

/**
 * Waits until the lease is ours, then keeps it. The same holder name takes over at once: a process restarted under its name
 * need not wait for its dead self, and two live ones of the same name would take it from each other. Others wait until it
 * was given back or has ended.
 * Throws BrokerError 'not-found' (no such bucket), 'invalid' (the bucket's entries live for another time), or the signal's reason.
 * @param holder role and instance, the same after a restart
 */
export async function holdLease(
  broker: Broker,
  bucket: string,
  key: string,
  holder: string,
  options: LeaseOptions,
): Promise<Lease> {
  checkKey(key)
  const { ttlMs, signal } = options
  const now = options.now ?? (() => performance.now())
  const stream = kvStream(bucket)
  const subject = kvSubject(bucket, key)
  const session = nuid.next()
  const doing = `hold ${key} of ${bucket} as ${holder}`

  /** One conditional write; the new revision. */
  const write = async (entry: Entry, replaces: number, timeoutMs: number, until: AbortSignal) => {
    const stored = await storeOnce(broker, subject, utf8.encode(JSON.stringify(entry)), {
      doing,
      timeoutMs,
      signal: until,
      expectStream: stream,
      headers: { 'Nats-Expected-Last-Subject-Sequence': String(replaces) },
    })
    return stored.seq
  }
  const look = (until: AbortSignal) =>
    lastOfByLeader(broker, stream, subject, {
      signal: until,
      attemptMs: Math.min(ATTEMPT_MS, ttlMs / 4),
      giveUpAfterMs: 0,
    })

  await refuseOtherLife()
  return keep(await obtain())

  async function refuseOtherLife(): Promise<void> {
    const info = await streamInfo(broker, stream, { signal })
    if (info === undefined) throw new BrokerError('not-found', `${doing}: there is no such bucket`)
    const lifeMs = millis(info.config.max_age)
    if (lifeMs !== ttlMs)
      throw new BrokerError('invalid', `${doing}: the bucket's entries live for ${lifeMs} ms, not ${ttlMs} ms`)
  }

  async function obtain(): Promise<Held> {
    let waitingFor: string | undefined
    for (;;) {
      signal.throwIfAborted()
      try {
        const kept = await look(signal)
        const entry = kept && entryOf(kept.bytes)
        if (kept === undefined || entry?.holder === holder) {
          // An unanswered write of ours may be the one that stands: the lease is ours since then, its life counts from now.
          const since = kept && entry?.session === session ? (entry.fence ?? kept.seq) : undefined
          const at = now()
          const mine: Entry = since === undefined ? { holder, session } : { holder, session, fence: since }
          const revision = await write(mine, kept?.seq ?? 0, Math.min(ATTEMPT_MS, ttlMs / 4), signal)
          return { fence: since ?? revision, revision, aliveUntil: at + ttlMs }
        }
        if (entry !== undefined && entry.holder !== waitingFor) {
          waitingFor = entry.holder
          options.onWaiting?.(entry.holder)
        }
      } catch (e) {
        signal.throwIfAborted()
        const failed = brokerError(e, doing)
        if (failed.next === 'never' && failed.code !== 'wrong-revision') throw failed
      }
      await pause((ttlMs / LOOKS_PER_LIFE) * (0.75 + Math.random() / 2), signal)
    }
  }

  function keep({ fence, ...held }: Held): Lease {
    const lost = new AbortController()
    const released = new AbortController()
    let { revision, aliveUntil } = held

    const lose = (why: BrokerError) => {
      if (lost.signal.aborted || released.signal.aborted) return
      lost.abort(why)
      options.onLost?.(why)
    }

    /** Our entry as it stands after a write that was refused; false when it is no longer ours. */
    async function stillOurs(): Promise<boolean> {
      const kept = await look(released.signal)
      if (kept === undefined || entryOf(kept.bytes)?.session !== session) return false
      revision = kept.seq
      return true
    }

    /** Milliseconds until the next turn. */
    async function renew(): Promise<number> {
      const at = now()
      try {
        revision = await write(
          { holder, session, fence },
          revision,
          Math.max(1, Math.min(ATTEMPT_MS, aliveUntil - at)),
          released.signal,
        )
        aliveUntil = at + ttlMs
        return ttlMs / RENEWALS_PER_LIFE
      } catch (e) {
        if (released.signal.aborted) return 0
        const failed = brokerError(e, doing)
        if (failed.code === 'wrong-revision') {
          const ours = await stillOurs().catch(() => undefined)
          if (ours === false) lose(new BrokerError('wrong-revision', `${doing}: it is another's now, or has ended`))
          if (ours) return 0
        } else if (failed.next === 'never') lose(failed)
        return ttlMs / RETRIES_PER_LIFE
      }
    }

    async function run(): Promise<void> {
      let turnMs = ttlMs / RENEWALS_PER_LIFE
      while (!released.signal.aborted && !lost.signal.aborted) {
        await pause(Math.max(0, Math.min(turnMs, aliveUntil - now())), released.signal)
        if (released.signal.aborted) return
        if (now() >= aliveUntil)
          return lose(new BrokerError('timeout', `${doing}: it could not be renewed for ${ttlMs} ms`))
        turnMs = await renew()
      }
    }

    const running = run()
    return {
      key,
      fence,
      lost: lost.signal,
      async release() {
        if (released.signal.aborted) return
        released.abort()
        await running
        if (lost.signal.aborted || !broker.connected) return
        // Only entries up to our own: what another has written since stays. An unanswered renewal of ours ends by itself.
        const body = { filter: subject, seq: revision + 1 }
        const patience = { signal: new AbortController().signal, attemptMs: RELEASE_MS, giveUpAfterMs: 0 }
        await api(broker, `STREAM.PURGE.${stream}`, body, patience).catch(() => {})
      },
    }
  }
}

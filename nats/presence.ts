import type { Broker } from './broker.js'
import { purgeSubject } from './ensure.js'
import { type BrokerError, brokerError, isBrokerError } from './errors.js'
import { type Fold, fold } from './events.js'
import { checkKey, kvStream, kvSubject } from './names.js'
import { ATTEMPT_MS, type Patience } from './patience.js'
import { storeOnce } from './publish.js'
import { subjects } from './read.js'
import { bell, pause } from './waiting.js'

// Presence is a value in a bucket whose entries live for a few seconds: the server takes away what is not renewed, by its own
// clock. JetStream says nothing when a value ages out, so whoever watches also asks, now and then, for the list of keys.

export interface Present {
  /** Says it again now, because what we say of ourselves has changed. */
  poke(): void
  /** Done when the signal came and our entry was taken away; rejects when we are not allowed to be there ('not-found', 'permission', …). */
  readonly done: Promise<void>
}

/** After a failed attempt, milliseconds: sooner than the next turn, as the entry is ageing meanwhile. */
const AGAIN_MS = 100
/** A goodbye is worth this much waiting, milliseconds; without it the entry ages out. */
const GOODBYE_MS = 500

/**
 * Keeps a value in the bucket for as long as we live, and takes it away at the end.
 * @param value what to say now: asked before every turn
 * @param options.everyMs a third of the bucket's life is right: two turns may get lost
 */
export function bePresent(
  broker: Broker,
  bucket: string,
  key: string,
  value: () => Uint8Array,
  options: { everyMs: number; signal: AbortSignal; onMissed?: (why: BrokerError) => void },
): Present {
  checkKey(key)
  const { signal, everyMs, onMissed } = options
  const stream = kvStream(bucket)
  const subject = kvSubject(bucket, key)
  const doing = `be present as ${key} in ${bucket}`
  let changed = false
  const poked = bell()

  async function turn(): Promise<number> {
    changed = false
    try {
      await storeOnce(broker, subject, value(), {
        doing,
        timeoutMs: Math.min(ATTEMPT_MS, everyMs),
        signal,
        expectStream: stream,
      })
      return everyMs
    } catch (e) {
      if (signal.aborted) return 0
      const failed = brokerError(e, doing)
      if (failed.next === 'never') throw failed
      onMissed?.(failed)
      return Math.min(AGAIN_MS, everyMs)
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const ms = await turn()
      // Changed while it was being said: said again at once.
      if (!changed) await poked.rest(ms, signal)
    }
    if (!broker.connected) return
    const patience = { signal: new AbortController().signal, attemptMs: GOODBYE_MS, giveUpAfterMs: 0 }
    await purgeSubject(broker, stream, subject, patience).catch(() => {})
  }

  const done = run()
  done.catch(() => {})
  return {
    poke() {
      changed = true
      poked.ring()
    },
    done,
  }
}

/** The keys that are alive now, by the server's clock, ascending. */
export async function presentKeys(broker: Broker, bucket: string, patience: Patience): Promise<string[]> {
  const prefix = kvSubject(bucket, '')
  const found = await subjects(broker, kvStream(bucket), kvSubject(bucket, '>'), patience)
  return [...found.keys()].map(subject => subject.slice(prefix.length)).sort((a, b) => (a < b ? -1 : 1))
}

export type PresenceChange =
  /** Newly there, or there with another or the same value. */
  | { type: 'present'; key: string; bytes: Uint8Array; timeMs: number }
  /** Aged out, said goodbye, or was deleted. */
  | { type: 'gone'; key: string }

export interface WatchOptions {
  signal: AbortSignal
  /** How often the server is asked who is still there, milliseconds: so much later than the bucket's life is a death noticed. */
  checkEveryMs?: number
  onChange: (change: PresenceChange) => void | Promise<void>
}

const CHECK_EVERY_MS = 1_000

/**
 * Tells who is there: first everyone, then every change. Nothing is missed over a broken connection, as the bucket keeps the
 * newest value of each key and the list of keys is asked for again and again.
 */
export function watchPresence(broker: Broker, bucket: string, options: WatchOptions): Fold {
  const { onChange, checkEveryMs = CHECK_EVERY_MS } = options
  const prefix = kvSubject(bucket, '')
  // A failure of either half ends both.
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  /** When each key was last heard of, in turns of the check, so that an older list cannot take away a newer key. */
  const heard = new Map<string, number>()
  let check = 0

  const entries = fold(broker, kvStream(bucket), kvSubject(bucket, '>'), {
    signal,
    onEvent: async (subject, bytes, meta) => {
      const key = subject.slice(prefix.length)
      if (meta.headers?.has('KV-Operation')) {
        if (heard.delete(key)) await onChange({ type: 'gone', key })
        return
      }
      heard.set(key, check)
      await onChange({ type: 'present', key, bytes, timeMs: meta.timeMs })
    },
  })

  async function checks(): Promise<void> {
    await entries.caughtUp
    while (!signal.aborted) {
      const asked = ++check
      const alive = await presentKeys(broker, bucket, { signal }).catch(e => {
        if (isBrokerError(e) && e.next === 'later') return undefined
        throw e
      })
      if (alive !== undefined) {
        const there = new Set(alive)
        for (const [key, at] of [...heard]) {
          if (there.has(key) || at >= asked) continue
          heard.delete(key)
          await onChange({ type: 'gone', key })
        }
      }
      await pause(checkEveryMs, signal)
    }
  }

  const ended = (e: unknown) => {
    if (options.signal.aborted) return
    stop.abort(e)
    throw e
  }
  const done = Promise.all([entries.done.catch(ended), checks().catch(ended)]).then(() => {})
  done.catch(() => {})
  return { caughtUp: entries.caughtUp, done }
}

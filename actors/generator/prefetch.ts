import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import { type Scope, scope } from '../../src/checkpoint/scope.js'
import { weightsKey } from '../../src/checkpoint/weights-key.js'
import { bell } from '../bell.js'
import type { CheckpointName } from '../controller/messages.js'
import type { Fetching, GeneratorParts } from './desk.js'

/** The checkpoint of the next window on its way to this host. */
export interface Prefetch {
  /** A checkpoint that was asked for and is in this host's cache. */
  fetched(checkpoint: CheckpointName): Checkpoint | undefined
  /** To be called when `wanted` may give another answer: what nobody wants any more is not fetched on. */
  look(): void
  done: Promise<void>
}

/** Wait after the first failure, ms, doubled with every further one of the same checkpoint, and the longest one: a window has six of these. */
const FIRST_WAIT_MS = 2_000
const LONGEST_WAIT_MS = 60_000
/** Waits are spread by this part of themselves, up and down: the hosts of a fleet fail at once where the bucket does. */
const JITTER = 0.25
/** How often it is looked at what is wanted when nobody says that it changed, ms. */
const IDLE_MS = 5_000

/**
 * Fetches the checkpoint that the next window is expected to be opened with into this host's cache, while the running window
 * goes on. Every generator does so: of those of one host one downloads and the others wait for what it makes (host-lease.ts),
 * so that none of them has to be there for the others. It ends when the next window opens: what is still missing then is
 * fetched with all haste by whoever needs it. Bytes that were downloaded are gone on with; weights that were being put
 * together are put together from the beginning.
 * @param options.wanted undefined while nothing is to be fetched
 */
export function prefetchNext(
  { checkpoint, clock, random, log }: Pick<GeneratorParts, 'checkpoint' | 'clock' | 'random' | 'log'>,
  options: {
    wanted(): CheckpointName | undefined
    fetching: Fetching
    onFetched(): void
    signal: AbortSignal
  },
): Prefetch {
  const { wanted, fetching, onFetched, signal } = options
  const woken = bell()
  let got: { key: string; checkpoint: Checkpoint } | undefined
  let underWay: { key: string; scope: Scope } | undefined
  let failures = { key: '', times: 0 }

  async function fetch(name: CheckpointName, key: string, until: AbortSignal): Promise<void> {
    const found = await checkpoint(name, until, fetching)
    if (typeof found === 'string') throw new Error(found)
    if (weightsKey(found.metadata) !== key)
      throw new Error(`the bucket has checkpoint ${weightsKey(found.metadata)} now, ${key} was to be fetched`)
    got = { key, checkpoint: found }
    log.info({ checkpoint: name.window }, 'checkpoint of the next window is at hand')
    onFetched()
  }

  function waitMs(key: string, error: unknown): number {
    failures = { key, times: failures.key === key ? failures.times + 1 : 1 }
    // What can only succeed once something else is published is not asked for often.
    const hopeless = (error as { next?: unknown }).next === 'never'
    const ms = hopeless ? LONGEST_WAIT_MS : Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures.times - 1))
    return ms * (1 - JITTER + 2 * JITTER * random())
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const name = wanted()
      const key = name && weightsKey(name)
      if (name === undefined || key === undefined || key === got?.key) {
        await woken.wait(IDLE_MS, signal)
        continue
      }
      const inner = scope(signal)
      underWay = { key, scope: inner }
      try {
        await fetch(name, key, inner.signal)
      } catch (error) {
        if (inner.signal.aborted) continue
        const ms = waitMs(key, error)
        log.warn(
          { checkpoint: name.window, err: error, againMs: Math.round(ms) },
          'checkpoint of the next window could not be fetched yet: the window goes on without it',
        )
        await clock.sleep(ms, inner.signal)
      } finally {
        underWay = undefined
        inner.end()
      }
    }
  }

  return {
    fetched: name => (got?.key === weightsKey(name) ? got.checkpoint : undefined),
    look() {
      const name = wanted()
      if (underWay && (name === undefined || weightsKey(name) !== underWay.key))
        underWay.scope.abort(new Error('it is not the next checkpoint any more'))
      woken.ring()
    },
    done: run(),
  }
}

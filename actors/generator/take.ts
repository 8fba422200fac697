import { claim, done, later, never, pullOne, type WorkItem, waitingWork } from '../../nats/index.js'
import { scope } from '../../src/checkpoint/scope.js'
import { claimsOf, encodeClaim } from '../../src/window/claim.js'
import { reissued } from '../controller/messages.js'
import { REISSUE, REISSUE_CONSUMER } from '../streams.js'
import type { OpenWindow } from '../windows.js'
import type { Desk } from './desk.js'

/** Only what is in the reissue queue now: a claim must not wait for what may come. */
const NOW = 0

/** An index of a window this generator has not heard of yet goes back for so long, ms: events of the journal take less. */
const NOT_YET_MS = 100

/**
 * One lane's way to its indices. All throw BrokerError: 'sealed', 'not-found' and 'stream-full' mean that this window has
 * none left. All resolve with undefined when there was nothing to take just now.
 */
export interface Taking {
  /** One left by a dead generator if there is any, else a new one. */
  now(window: OpenWindow): Promise<number | undefined>
  /** A new one for later; none while one of a dead generator waits, as that is for whoever is ready first. */
  ahead(window: OpenWindow): Promise<number | undefined>
}

export function taking({ parts, inFlight, signal }: Desk, lane: number): Taking {
  const { broker, clock, instance, boot, log } = parts
  let claims = 0
  let claiming: Promise<unknown> = Promise.resolve()
  return {
    async now(window) {
      const left = await pullOne(broker, REISSUE, REISSUE_CONSUMER, { signal, expiresMs: NOW })
      if (!left) return claimNew(window)
      const index = await takeOver(window, left)
      if (index !== undefined) log.info({ window: window.window, index }, 'took over an index of a dead generator')
      return index
    },

    async ahead(window) {
      const waiting = await waitingWork(broker, REISSUE, REISSUE_CONSUMER, { signal, giveUpAfterMs: 0 })
      return waiting > 0 ? undefined : claimNew(window)
    },
  }

  /** One after the other: two claims under way at once would be the same one. */
  function claimNew(window: OpenWindow): Promise<number> {
    const mine = claiming.then(() => claimNext(window))
    claiming = mine.catch(() => {})
    return mine
  }

  async function claimNext(window: OpenWindow): Promise<number> {
    // A number is only used up by a claim that was answered: after a lost answer the same claim is asked for again.
    const key = `${instance}.${boot}.${window.window}.${window.epoch}.${lane}.${claims}`
    const checkpointWindow = window.opened.checkpoint.window
    const value = encodeClaim({ generator: instance, boot, checkpointWindow, atMs: clock.now() })
    const until = scope(signal, window.worthless)
    try {
      const { index } = await claim(broker, claimsOf(window.window, window.epoch), key, value, {
        id: key,
        signal: until.signal,
        giveUpAfterMs: window.timers.drainEndMs - clock.now(),
      })
      claims++
      inFlight.begin(window, index)
      return index
    } finally {
      until.end()
    }
  }

  async function takeOver(window: OpenWindow, left: WorkItem): Promise<number | undefined> {
    const holes = reissued.holes(left.subject)
    const newer = holes && (holes.window - window.window || holes.epoch - window.epoch)
    if (!holes || newer !== 0) {
      // Of a window that is over, or of one that this generator has not heard of yet.
      await left.settle(newer !== undefined && newer > 0 ? later(NOT_YET_MS, 'not open here yet') : never('over'), {
        signal,
      })
      return undefined
    }
    // Listed before it leaves the queue: between the two the controller must see it in one place at least.
    inFlight.begin(window, holes.index)
    try {
      await left.settle(done, { signal })
    } catch (error) {
      // It may be given out again: whoever gets it then works on it.
      inFlight.end(window, holes.index)
      throw error
    }
    return holes.index
  }
}

import { type Scope, scope } from '../../src/checkpoint/scope.js'
import { LIST_GRACE_MS } from '../../src/window/claim.js'
import type { OpenWindow } from '../windows.js'
import type { Desk } from './desk.js'
import { expectedMs, isMineable } from './last-claim.js'
import type { Taking } from './take.js'

/**
 * Part of a group's expected time after which the next index is claimed. Groups seldom end sooner; and an index that lies
 * ready for longer is only one more to take back from a generator that dies.
 */
const AHEAD_AT = 0.5

const NOT_AHEAD = new Error('nothing is claimed ahead any more')

/** One lane's indices. The next one is claimed while the engine is still busy, so that it does not wait for the broker. */
export interface NextIndex {
  /** The index that was claimed ahead in this window, else one taken now. Resolves and throws as `Taking` does. */
  next: Taking['now']
  /**
   * A group begins now: half way through it the index of its successor is claimed, if there will be time for that one.
   * @param waitMs how long it, and its successor, are expected to stand in line at the engine
   */
  ahead(window: OpenWindow, waitMs?: number): void
  /** Leaves what was claimed ahead to other generators: this one will not come to it soon. */
  giveBack(): void
}

/** @param take how indices are taken; it lists them as in flight */
export function claimingAhead(desk: Desk, take: Taking): NextIndex {
  const { parts, inFlight, pace, signal } = desk
  const { clock, holes } = parts
  let held: { window: OpenWindow; index: Promise<number | undefined>; inner: Scope } | undefined

  async function halfWay(window: OpenWindow, waitMs: number, canceled: AbortSignal): Promise<number | undefined> {
    const groupMs = waitMs + expectedMs(window, pace)
    await clock.sleep(groupMs * AHEAD_AT, canceled)
    if (canceled.aborted) return undefined
    // Where a hole cuts off the file, there must also be time to make the group elsewhere should this one give it back.
    const beginMs = holes === 'truncate' ? groupMs + LIST_GRACE_MS : groupMs * (1 - AHEAD_AT)
    return isMineable(desk, window, clock.now() + beginMs, waitMs) ? take.ahead(window) : undefined
  }

  const nextIndex: NextIndex = {
    async next(window) {
      const ready = held
      if (ready?.window !== window) nextIndex.giveBack()
      held = undefined
      if (ready?.window !== window) return take.now(window)
      ready.inner.abort(NOT_AHEAD)
      // What went wrong ahead of time goes wrong again, or does not: that is the answer that counts.
      return (await ready.index.catch(() => undefined)) ?? take.now(window)
    },

    ahead(window, waitMs = 0) {
      nextIndex.giveBack()
      const inner = scope(signal)
      const index = halfWay(window, waitMs, inner.signal).finally(inner.end)
      index.catch(() => {})
      held = { window, index, inner }
    },

    giveBack() {
      const left = held
      held = undefined
      left?.inner.abort(NOT_AHEAD)
      left?.index.then(
        index => index !== undefined && inFlight.end(left.window, index),
        () => {},
      )
    },
  }
  return nextIndex
}

import type { Bell } from '../bell.js'
import type { Windows } from '../windows.js'
import type { Desk } from './desk.js'
import type { Equipment } from './equipment.js'
import { isMineable, lastClaimMs } from './last-claim.js'
import type { Prefetch } from './prefetch.js'

/** How often it is looked whether the moment has come when nothing was heard, ms. */
const LOOK_MS = 1_000
/** And how soon again at least, ms. */
const SOON_MS = 50

export interface SwapParts {
  windows: Windows
  equipment: Equipment
  prefetch: Prefetch
  /** Rings when a window, the cache, or what is lent changed. */
  changed: Bell
}

/**
 * Puts the next window's checkpoint into the engine in the tail of the running one: as soon as this generator may claim
 * no more in it, its groups are staged, and the checkpoint is in the cache. The canary then sings before the next
 * window opens. Should that one be opened with another checkpoint, its first claim waits for a load as any does.
 */
export async function swapAhead(desk: Desk, { windows, equipment, prefetch, changed }: SwapParts): Promise<void> {
  const { parts, signal } = desk
  const { clock, log } = parts
  while (!signal.aborted) {
    const window = windows.latest()
    const next = window?.next
    const checkpoint = next && prefetch.fetched(next)
    if (window && checkpoint && !equipment.holds(next) && !isMineable(desk, window, clock.now())) {
      await equipment.swap(window, checkpoint).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
      if (equipment.holds(next))
        log.info({ window: window.window, checkpoint: next.window }, 'ready for the next window before it opens')
    }
    const untilMs = window ? lastClaimMs(desk, window) - clock.now() : LOOK_MS
    await changed.wait(untilMs > 0 ? Math.min(LOOK_MS, untilMs + SOON_MS) : LOOK_MS, signal)
  }
}

import type { Clock, Log } from '../actor.js'
import type { Fleet } from './fleet.js'

/** The hotkey's place on the subnet, as the chain tells it. */
export type Registration =
  | { kind: 'registered'; uid: number }
  | { kind: 'unregistered' }
  | { kind: 'unknown'; why: string }

/** Follows one hotkey's registration until the signal aborts. */
export type WatchRegistration = (hotkey: string, signal: AbortSignal) => AsyncIterable<Registration>

/** The aggregator, whose hotkey it is, may be a while in coming, ms. */
const LOOK_MS = 1_000

/** Keeps what the chain says about the fleet's hotkey. */
export interface Place {
  /** Whether the chain has said that this hotkey is not registered. Not knowing is no reason to stop. */
  isUnregistered(hotkey: string): boolean
  done: Promise<void>
}

/** Waits for the fleet's hotkey, then watches its registration; alarms when it is lost. */
export function watchPlace(
  watch: WatchRegistration | undefined,
  { fleet, log, clock, signal }: { fleet: Fleet; log: Log; clock: Clock; signal: AbortSignal },
): Place {
  const absent = new Set<string>()
  const follow = async () => {
    if (!watch) return
    while (!signal.aborted && fleet.hotkey() === undefined) await clock.sleep(LOOK_MS, signal)
    const hotkey = fleet.hotkey()
    if (hotkey === undefined) return
    for await (const event of watch(hotkey, signal)) {
      if (event.kind === 'registered') {
        absent.delete(hotkey)
        log.info({ hotkey, uid: event.uid }, 'hotkey is registered')
      } else if (event.kind === 'unregistered') {
        absent.add(hotkey)
        log.error({ hotkey }, 'ALARM: hotkey is not registered: nothing it mines counts, no window is opened')
      } else log.warn({ hotkey, why: event.why }, 'registration could not be asked for')
    }
  }
  return { isUnregistered: hotkey => absent.has(hotkey), done: follow() }
}

import type { Fleet } from './fleet.js'
import type { ControllerParts } from './options.js'

/** The aggregator, whose hotkey it is, may be a while in coming, ms. */
const LOOK_MS = 1_000

/** What the controller's presence says while it is so. */
const NOT_REGISTERED = 'hotkey not registered'

/** Keeps what the chain says about the fleet's hotkey. */
export interface Place {
  /** Whether the chain has said that this hotkey is not registered. Not knowing is no reason to stop. */
  isUnregistered(hotkey: string): boolean
  done: Promise<void>
}

/** Waits for the fleet's hotkey, then watches its registration; alarms with the remedy when it is lost. */
export function watchPlace(
  { registration: watch, remedy, log, clock }: ControllerParts,
  { fleet, troubles, signal }: { fleet: Fleet; troubles: Set<string>; signal: AbortSignal },
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
        troubles.delete(NOT_REGISTERED)
        log.info({ hotkey, uid: event.uid }, 'hotkey is registered')
      } else if (event.kind === 'unregistered') {
        absent.add(hotkey)
        troubles.add(NOT_REGISTERED)
        log.error({ hotkey }, `ALARM: ${remedy(hotkey)}; nothing it mines counts, and no window is opened until it is`)
      } else log.warn({ hotkey, why: event.why }, 'registration could not be asked for')
    }
  }
  return { isUnregistered: hotkey => absent.has(hotkey), done: follow() }
}

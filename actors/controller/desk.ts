import type { Fleet } from './fleet.js'
import type { Ledger } from './ledger.js'
import type { Ledgers } from './ledgers.js'
import type { WindowEvent } from './machine.js'
import type { ControllerParts } from './options.js'
import type { Timing } from './timing.js'

/** What the active controller works with; its parts share it and nothing else. */
export interface Desk {
  readonly parts: ControllerParts
  readonly ledgers: Ledgers
  readonly fleet: Fleet
  readonly timing: Timing
  readonly signal: AbortSignal
  /** Moves a window's machine and says so; what follows from the new state is done at the next tick. */
  move(ledger: Ledger, event: WindowEvent): Promise<void>
  /** A sentence with the remedy when the chain says that this hotkey is not registered; undefined otherwise. */
  unregistered(hotkey: string): string | undefined
}

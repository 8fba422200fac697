import type { Store } from '../../nats/index.js'
import type { Profile } from '../../src/protocol/profile.js'
import type { Hotkey } from '../../src/wallet/hotkey.js'
import type { HolePolicy } from '../../src/window/holes.js'
import type { ActorParts } from '../actor.js'

/** What one window's assembly is built from. */
export interface AssemblyParts extends ActorParts {
  hotkey: Hotkey
  profile: Profile
  holes: HolePolicy
  /** Size of every part but the last, bytes. */
  partBytes: number
  rollouts: Store
  parts: Store
}

/** What the aggregator is built from. */
export interface AggregatorParts extends AssemblyParts {
  host: string
  leaseMs: number
}

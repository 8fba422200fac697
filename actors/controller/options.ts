import type { Store } from '../../nats/index.js'
import type { Chain } from '../../src/chain/chain.js'
import type { CheckpointMetadata } from '../../src/checkpoint/metadata.js'
import type { Profile } from '../../src/protocol/profile.js'
import type { ActorParts } from '../actor.js'

/** The hotkey's place on the subnet, as the chain tells it. */
export type Registration =
  | { kind: 'registered'; uid: number }
  | { kind: 'unregistered' }
  | { kind: 'unknown'; why: string }

/** Follows one hotkey's registration until the signal aborts. */
export type WatchRegistration = (hotkey: string, signal: AbortSignal) => AsyncIterable<Registration>

/** What the controller is built from. */
export interface ControllerParts extends ActorParts {
  host: string
  profile: Profile
  chain: Chain
  rollouts: Store
  parts: Store
  /** The newest checkpoint that was ready before `window`, or a sentence why there is none. */
  checkpoint(window: number, signal: AbortSignal): Promise<CheckpointMetadata | string>
  /** Follows the hotkey's registration; undefined where nothing is registered. */
  registration: WatchRegistration | undefined
  /** What to do about a hotkey that is not registered, in a sentence. */
  remedy(hotkey: string): string
  /** Randomness of a window, 64 hex without 0x: drand mixed with the hash, or the hash alone. */
  randomness(hash: string, signal: AbortSignal): Promise<string>
  /** Most groups a window's file takes. */
  maxGroups: number
  /** Tail assumed before a window was measured, ms. */
  firstTailMs: number
  leaseMs: number
  replicas: number
  /** Writes the `[SUMMARY]` line. */
  say(line: string): void
}

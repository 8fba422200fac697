import type { Store } from '../../nats/index.js'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import type { EngineStatus } from '../../src/engine/engine.js'
import type { HolePolicy } from '../../src/window/holes.js'
import type { ActorParts } from '../actor.js'
import type { CheckpointName } from '../controller/messages.js'
import type { InFlight } from './in-flight.js'
import type { Workshop } from './make-group.js'
import type { Pace } from './pace.js'
import type { Tallies } from './tally.js'

/** How a checkpoint is to be had. */
export interface Fetching {
  /** 'now' when a window waits for it; 'ahead' takes little of the link and the disk, and whatever time it needs. */
  haste: 'now' | 'ahead'
  /** Windows of checkpoints that must stay on this host: the ones in use and the next one. Asked for whenever room is made. */
  keep(): Iterable<number>
}

/** What a generator is built from. */
export interface GeneratorParts extends ActorParts {
  host: string
  gpus: string[]
  /** Groups the engine may be asked for at once, so that a batching server stays full. */
  lanes: number
  /** Object store of staged groups. */
  rollouts: Store
  /** What becomes of a file with a hole: where that cuts it off, an index is not claimed too early, and none whose group may not be done. */
  holes: HolePolicy
  /** That checkpoint (undefined: whichever is at hand at the start), or a sentence why it is not to be had; another one of its window where that was published anew. */
  checkpoint(wanted: CheckpointName | undefined, signal: AbortSignal, fetching: Fetching): Promise<Checkpoint | string>
  /** Starts the engine with a checkpoint, or swaps it: everything groups are made with. */
  workshop(checkpoint: Checkpoint, signal: AbortSignal): Promise<Workshop>
  /** How the engine is, also while it starts; absent or undefined where it has nothing to say. */
  engineStatus?(): EngineStatus | undefined
  /** Ends the engine and what it has started, also in the middle of a load. */
  close(): Promise<void>
}

/** What the parts of a running generator share. */
export interface Desk {
  readonly parts: GeneratorParts
  readonly inFlight: InFlight
  readonly pace: Pace
  readonly tallies: Tallies
  readonly signal: AbortSignal
}

import type { Checkpoint, GenerationParams } from '../checkpoint/metadata.js'
import type { Completion, ModelFacts } from '../window/group.js'

/** What an engine needs to make one group. No environment, no wallet, no randomness beyond the coefficients. */
export interface GroupRequest {
  /** Protocol profile the caller expects; an engine that proves for another one must refuse. */
  profile: string
  /** The caller's expectation of what is loaded; an engine holding another checkpoint must refuse. */
  checkpointWindow: number
  /** int32[P] */
  promptIds: Int32Array
  groupSize: number
  generation: GenerationParams
  /** int8[topk], from the window's randomness. */
  coefficients: Int8Array
  /** Unix ms; generation past it is given up with EngineError 'deadline'. */
  deadlineMs: number
  /** Makes deterministic engines (rehearsal) reproducible; others may ignore it. u32. */
  seed: number
}

export interface GroupReply {
  model: ModelFacts
  completions: Completion[]
  /** Sequences per forward of its proofs, for VerifyRequest.group; 1 where a proof depends on its own sequence alone. */
  proofRows: number
  /** `wait`: in line before generation began, where there is a line. */
  seconds: { wait?: number; generate: number; prove: number }
}

/** Replays one sequence: an independent forward over prompt and completion. */
export interface VerifyRequest {
  profile: string
  checkpointWindow: number
  /** int32[P + C] */
  tokens: Int32Array
  promptLength: number
  coefficients: Int8Array
  generation: GenerationParams
  /**
   * Tokens (prompt and completion) of every sequence of its group, in the group's order, which of them this one is, and
   * the group's proofRows. Numbers of a padded forward depend on its shape in the last bits, so engines that prove several
   * sequences at once are exact only when told it; others ignore it.
   */
  group?: { lengths: readonly number[]; at: number; rows: number }
  /**
   * In one forward over prompt and completion, as a validator may read it, whatever this engine does for its proofs. Engines
   * that prove so anyway ignore it. Not together with `group`.
   */
  whole?: boolean
}

export interface VerifyReply {
  /** int32[P + C] */
  sketches: Int32Array
  /** float32[C] */
  logprobs: Float32Array
  eosProbability: number
  distribution: Completion['distribution']
}

/** How an engine is, for people and metrics. */
export interface EngineStatus {
  /** Of the generation server: stopped, starting, ready, degraded, restarting or failed. */
  server: string
  /** Why it is not ready, or why no group can be made; '' when all is well. */
  reason: string
  groups: {
    /** At the server now, and the most that may be. */
    generating: number
    limit: number
    /** With a prover, or in line for one. */
    proving: number
    /** In line for the server. */
    waiting: number
  }
  /** Since the last load(): for how long at least one group was being generated; the rest is the GPU's idle time, ms. */
  generation: { busyMs: number; ofMs: number }
}

/** Why an engine could not do it, and what to do next: 'never' (this request is wrong), 'later' (try again after retryAfterMs), 'deadline' (too late for this window). */
export class EngineError extends Error {
  readonly next: 'never' | 'later' | 'deadline'
  readonly retryAfterMs: number
  constructor(
    message: string,
    next: 'never' | 'later' | 'deadline',
    options: { retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'EngineError'
    this.next = next
    this.retryAfterMs = options.retryAfterMs ?? 0
  }
}

/** Turns prompt ids into token ids and proofs on one GPU (or CPU). All calls may be cancelled by `signal`. */
export interface Engine {
  readonly name: string
  /** Do its groups come from a rehearsal, i.e. must no real bucket ever see them? */
  readonly rehearsal: boolean
  /** Starts what has to run (child processes) and loads the checkpoint; resolves when a group can be asked for. */
  start(checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts>
  /** Swaps to another checkpoint. */
  load(checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts>
  generate(request: GroupRequest, signal: AbortSignal): Promise<GroupReply>
  /**
   * How many generate() calls a caller should have open at once, so that the batcher stays full while earlier groups are
   * proved. Measured: ask again for every group. More calls are not refused, they wait inside, first come first served.
   * Groups may come back in another order than they were asked for. Absent: 1.
   */
  inFlight?(): number
  /** How long a group asked for now would stand in line before its generation begins, ms, as far as can be foreseen. Absent: 0. */
  waitMs?(): number
  /** Absent where there is nothing to say. */
  status?(): EngineStatus
  verify(request: VerifyRequest, signal: AbortSignal): Promise<VerifyReply>
  /** Ends every child with its process group; idempotent. */
  close(): Promise<void>
}

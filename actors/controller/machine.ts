import { assign, type SnapshotFrom, setup } from 'xstate'
import type { Timers } from '../../src/window/deadline.js'

/** What the machine of one window knows. Counting rollouts is nobody's business here. */
export interface WindowContext {
  window: number
  epoch: number
  timers: Timers
  /** Why the window ended, for skipped and failed; rows 0 for done without a file. */
  reason: string
  rows: number
}

export type WindowEvent =
  /**
   * The clock. Timers are absolute and compared with it: xstate's own delays do not survive a restored snapshot.
   * Before `judgesFromMs` nobody's silence ends the window: its words may be waiting at the broker.
   */
  | { type: 'TICK'; nowMs: number; judgesFromMs?: number }
  /** Block W was seen; hash, randomness and checkpoint are being gathered. */
  | { type: 'PREPARE' }
  /** The journal says `opened`: claims may be made. */
  | { type: 'OPENED'; timers: Timers }
  | { type: 'TIMERS'; timers: Timers }
  /** Every claimed index is staged or settled, and no claim can follow. */
  | { type: 'DRAINED' }
  | { type: 'SEALED'; rows: number }
  /** The one call that makes the object visible was answered. */
  | { type: 'COMPLETED' }
  | { type: 'UPLOADED' }
  | { type: 'FAILED'; reason: string }
  /** A reorg, a newer checkpoint or an operator made the window worthless. */
  | { type: 'SUPERSEDED'; reason: string }

/** Should something have been heard by `byMs`, and could it have been? */
function isSilent(event: WindowEvent, byMs: number): boolean {
  return event.type === 'TICK' && event.nowMs >= Math.max(byMs, event.judgesFromMs ?? byMs)
}

/**
 * One window, from its announcement to its end:
 * announced → preparing → generating → draining → sealing → uploading → verifying → done | skipped | failed.
 * Every state that is not an end has a way out by time. The machine does nothing itself: the controller acts on the state it is in.
 */
export const windowMachine = setup({
  types: {
    context: {} as WindowContext,
    events: {} as WindowEvent,
    input: {} as { window: number; epoch: number; timers: Timers },
  },
  actions: {
    takeTimers: assign(({ event }) =>
      event.type === 'TIMERS' || event.type === 'OPENED' ? { timers: event.timers } : {},
    ),
    takeRows: assign(({ event }) => (event.type === 'SEALED' ? { rows: event.rows } : {})),
    takeReason: assign(({ event }) =>
      event.type === 'FAILED' || event.type === 'SUPERSEDED' ? { reason: event.reason } : {},
    ),
    becauseOf: assign((_, params: { reason: string }) => ({ reason: params.reason })),
  },
  guards: {
    claimsClosed: ({ context, event }) => event.type === 'TICK' && event.nowMs >= context.timers.claimsCloseMs,
    drainOver: ({ context, event }) => event.type === 'TICK' && event.nowMs >= context.timers.drainEndMs,
    tooLateToComplete: ({ context, event }) => isSilent(event, context.timers.abortAtMs),
    tooLateToVerify: ({ context, event }) => isSilent(event, context.timers.verifyByMs),
    nothingInIt: ({ event }) => event.type === 'SEALED' && event.rows === 0,
  },
}).createMachine({
  id: 'window',
  context: ({ input }) => ({ ...input, reason: '', rows: 0 }),
  initial: 'announced',
  on: { TIMERS: { actions: 'takeTimers' } },
  states: {
    announced: {
      on: {
        PREPARE: 'preparing',
        OPENED: { target: 'generating', actions: 'takeTimers' },
        SUPERSEDED: { target: 'skipped', actions: 'takeReason' },
        TICK: {
          guard: 'drainOver',
          target: 'skipped',
          actions: { type: 'becauseOf', params: { reason: 'announced too late to make a group' } },
        },
      },
    },
    preparing: {
      on: {
        OPENED: { target: 'generating', actions: 'takeTimers' },
        SUPERSEDED: { target: 'skipped', actions: 'takeReason' },
        FAILED: { target: 'skipped', actions: 'takeReason' },
        TICK: {
          guard: 'drainOver',
          target: 'skipped',
          actions: { type: 'becauseOf', params: { reason: 'not prepared in time' } },
        },
      },
    },
    generating: {
      on: {
        SUPERSEDED: { target: 'skipped', actions: 'takeReason' },
        FAILED: { target: 'failed', actions: 'takeReason' },
        SEALED: [
          { guard: 'nothingInIt', target: 'done', actions: 'takeRows' },
          { target: 'uploading', actions: 'takeRows' },
        ],
        TICK: [
          { guard: 'drainOver', target: 'sealing' },
          { guard: 'claimsClosed', target: 'draining' },
        ],
      },
    },
    draining: {
      on: {
        SUPERSEDED: { target: 'skipped', actions: 'takeReason' },
        FAILED: { target: 'failed', actions: 'takeReason' },
        DRAINED: 'sealing',
        SEALED: [
          { guard: 'nothingInIt', target: 'done', actions: 'takeRows' },
          { target: 'uploading', actions: 'takeRows' },
        ],
        TICK: { guard: 'drainOver', target: 'sealing' },
      },
    },
    sealing: {
      on: {
        SUPERSEDED: { target: 'skipped', actions: 'takeReason' },
        FAILED: { target: 'failed', actions: 'takeReason' },
        SEALED: [
          { guard: 'nothingInIt', target: 'done', actions: 'takeRows' },
          { target: 'uploading', actions: 'takeRows' },
        ],
        TICK: {
          guard: 'tooLateToComplete',
          target: 'failed',
          actions: { type: 'becauseOf', params: { reason: 'not sealed before the deadline' } },
        },
      },
    },
    uploading: {
      on: {
        SUPERSEDED: { target: 'skipped', actions: 'takeReason' },
        FAILED: { target: 'failed', actions: 'takeReason' },
        COMPLETED: 'verifying',
        UPLOADED: 'done',
        // The uploader aborts by itself a second before D and says so. Its silence says nothing: it may have completed the
        // object in time and have nobody to tell it to.
        TICK: {
          guard: 'tooLateToVerify',
          target: 'failed',
          actions: { type: 'becauseOf', params: { reason: 'nothing was heard of the upload' } },
        },
      },
    },
    verifying: {
      on: {
        // The object is there and nobody has counted it yet: the uploader takes it away again.
        SUPERSEDED: { target: 'skipped', actions: 'takeReason' },
        FAILED: { target: 'failed', actions: 'takeReason' },
        UPLOADED: 'done',
        TICK: {
          guard: 'tooLateToVerify',
          target: 'failed',
          actions: { type: 'becauseOf', params: { reason: 'object could not be verified' } },
        },
      },
    },
    done: { type: 'final' },
    skipped: { type: 'final' },
    failed: { type: 'final' },
  },
})

export type WindowSnapshot = SnapshotFrom<typeof windowMachine>

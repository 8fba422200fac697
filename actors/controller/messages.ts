import { z } from 'zod'
import { message } from '../../nats/index.js'

const checkpoint = z.strictObject({
  window: z.number().int(),
  modelName: z.string(),
  weightsHash: z.string(),
  environment: z.string(),
})
/** Which checkpoint, as far as a group must tell. */
export type CheckpointName = z.infer<typeof checkpoint>

const timers = z.strictObject({
  claimsCloseMs: z.number(),
  drainEndMs: z.number(),
  completeByMs: z.number(),
  abortAtMs: z.number(),
  deadlineMs: z.number(),
  verifyByMs: z.number(),
})

const openedPayload = z.strictObject({
  profile: z.string(),
  hotkey: z.string(),
  hash: z.string().regex(/^0x[0-9a-f]{64}$/),
  randomness: z.string().regex(/^[0-9a-f]{64}$/),
  /** Best block when the window was opened. */
  block: z.number().int(),
  /** Timestamp of block W, unix ms. */
  startMs: z.number(),
  checkpoint,
  timers,
  /** Most groups the file may take: work beyond it earns nothing. */
  maxGroups: z.number().int(),
})
export type Opened = z.infer<typeof openedPayload>

/** A window opens: from now on its claims may be made. Said once per window and epoch. */
export const opened = message('grail.window.{window:int}.{epoch:int}.control.opened', {
  parse: value => openedPayload.parse(value),
  id: (_, { window, epoch }) => `opened.${window}.${epoch}`,
})

/** `atMs`: when it was said, unix ms. What is said, unsaid and said again is not one message said twice. */
const nextPayload = z.strictObject({ checkpoint, atMs: z.number() })
export type NextCheckpoint = z.infer<typeof nextPayload>

/**
 * The checkpoint that the window after this one would be opened with, by what the trainer's bucket says now: to be fetched
 * meanwhile, and loaded once this window needs no GPU any more. Said again when it changes; only `opened` decides.
 */
export const nextCheckpoint = message('grail.window.{window:int}.{epoch:int}.control.next', {
  parse: value => nextPayload.parse(value),
  id: ({ atMs }, { window, epoch }) => `next.${window}.${epoch}.${atMs}`,
})

const timersPayload = z.strictObject({ timers, atMs: z.number(), why: z.string() })
export type TimersMoved = z.infer<typeof timersPayload>

/** The deadline was measured anew: all timers of the window move with it. */
export const timersMoved = message('grail.window.{window:int}.{epoch:int}.control.timers', {
  parse: value => timersPayload.parse(value),
  id: ({ timers, atMs }, { window, epoch }) => `timers.${window}.${epoch}.${timers.deadlineMs}.${atMs}`,
})

const finalPayload = z.strictObject({ hash: z.string() })

/** Block W is final under this hash: the window's file may become visible. */
export const hashFinal = message('grail.window.{window:int}.{epoch:int}.control.final', {
  parse: value => finalPayload.parse(value),
  id: (_, { window, epoch }) => `final.${window}.${epoch}`,
})

export const WINDOW_STATES = [
  'announced',
  'preparing',
  'generating',
  'draining',
  'sealing',
  'uploading',
  'verifying',
  'done',
  'skipped',
  'failed',
] as const
export type WindowState = (typeof WINDOW_STATES)[number]

const statePayload = z.strictObject({ state: z.enum(WINDOW_STATES), atMs: z.number(), why: z.string() })

/** The window's machine went into a state. Actors act on `sealing` (seal now), `skipped` and `failed` (give up, clean up). */
export const entered = message('grail.window.{window:int}.{epoch:int}.control.state', {
  parse: value => statePayload.parse(value),
  id: ({ state }, { window, epoch }) => `state.${window}.${epoch}.${state}`,
})

const summary = z.strictObject({
  actor: z.string(),
  window: z.number().int(),
  epoch: z.number().int(),
  state: z.enum(['STAGED', 'UPLOADED', 'MISSED', 'TRUNCATED', 'EMPTY', 'SKIPPED']),
  reason: z.string().optional(),
  rollouts: z.number().int(),
  problems: z.number().int(),
  firstHole: z.number().int().optional(),
  dropped: z.record(z.string(), z.number()),
  duplicates: z.number().int(),
  bytes: z.number().int(),
  seconds: z.record(z.string(), z.number()),
  secondsLeft: z.number().optional(),
  sha256: z.string().optional(),
  checkpoint: z.number().int(),
})

/** What the window came to, for the journal. */
export const summarised = message('grail.window.{window:int}.{epoch:int}.control.summarised', {
  parse: value => summary.parse(value),
  id: (_, { window, epoch }) => `summarised.${window}.${epoch}`,
})

/** The same and every actor's own, live, for people: `nats sub grail.summary`. */
export const summaryLive = message('grail.summary', { parse: value => summary.parse(value) })

const reissuePayload = z.strictObject({ index: z.number().int(), attempt: z.number().int() })

/** An index taken back from a dead generator: a unit of work for any other. */
export const reissued = message('grail.reissue.{window:int}.{epoch:int}.{index:int}', {
  parse: value => reissuePayload.parse(value),
  id: ({ attempt }, { window, epoch, index }) => `reissue.${window}.${epoch}.${index}.${attempt}`,
})

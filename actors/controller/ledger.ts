import { createActor, transition } from 'xstate'
import type { OwnedClaim } from '../../src/window/claim.js'
import { firstHole } from '../../src/window/holes.js'
import type { Outcome, Summary } from '../../src/window/summary.js'
import type { Dropped } from '../aggregator/messages.js'
import { type Attempt, foldAttempt, noAttempt } from '../attempt.js'
import type { GaveUp, Staged } from '../generator/messages.js'
import type { JournalEvent } from '../journal.js'
import { indicesOf } from '../ranges.js'
import type { Uploaded } from '../uploader/messages.js'
import { type WindowEvent, type WindowSnapshot, windowMachine } from './machine.js'
import type { CheckpointName, Opened } from './messages.js'

/** Everything the journal says about one window and epoch, folded. The controller's only state. */
export interface Ledger {
  window: number
  epoch: number
  machine: WindowSnapshot
  opened?: Opened
  /** The checkpoint its successor was last said to be opened with, when that was another one than its own. */
  next?: CheckpointName
  /** Block W is final under the window's hash. */
  final: boolean
  claims: Map<number, OwnedClaim>
  /** First staged group of an index. */
  staged: Map<number, Staged>
  gaveUp: Map<number, GaveUp>
  dropped: { index: number; event: Dropped }[]
  duplicates: number
  /** How often an index was put on the reissue queue, and when last, unix ms. Not folded: a new controller may repeat itself. */
  reissued: Map<number, { attempt: number; atMs: number }>
  /** Whose file counts, and its seal. */
  attempt: Attempt
  uploaded?: Uploaded
  /** Server times, unix ms: when the file was to be sealed and when its object was verified. */
  sealingMs?: number
  uploadedMs?: number
  /** How often the checkpoint list was read again: shortly after the start, and before the seal. Not folded. */
  looks: number
  summarised: boolean
  /** Its claims and its place on the reissue queue are gone. Not folded: twice is harmless. */
  forgotten: boolean
}

const NEVER = Number.MAX_SAFE_INTEGER

/** A window nobody has said anything about. Its timers come with `opened`. */
export function emptyLedger(window: number, epoch: number, latestMs: number = NEVER): Ledger {
  const timers = {
    claimsCloseMs: latestMs,
    drainEndMs: latestMs,
    completeByMs: latestMs,
    abortAtMs: latestMs,
    deadlineMs: latestMs,
    verifyByMs: latestMs,
  }
  const actor = createActor(windowMachine, { input: { window, epoch, timers } })
  return {
    window,
    epoch,
    machine: actor.getSnapshot(),
    final: false,
    claims: new Map(),
    staged: new Map(),
    gaveUp: new Map(),
    dropped: [],
    duplicates: 0,
    reissued: new Map(),
    attempt: noAttempt(),
    looks: 0,
    summarised: false,
    forgotten: false,
  }
}

/** Moves the window's machine; pure but for the ledger it is given. Returns the state when it changed. */
export function send(ledger: Ledger, event: WindowEvent): string | undefined {
  const before = ledger.machine.value
  const [next] = transition(windowMachine, ledger.machine, event)
  ledger.machine = next
  return next.value === before ? undefined : (next.value as string)
}

/** Folds one event of the journal into the ledger. The same event twice changes nothing. */
export function fold(ledger: Ledger, event: JournalEvent): void {
  switch (event.kind) {
    case 'opened':
      ledger.opened ??= event.payload
      send(ledger, { type: 'OPENED', timers: event.payload.timers })
      break
    case 'next':
      ledger.next = event.payload.checkpoint
      break
    case 'timers':
      send(ledger, { type: 'TIMERS', timers: event.payload.timers })
      break
    case 'final':
      ledger.final = true
      break
    case 'state':
      foldState(ledger, event.payload.state, event.payload.why, event.timeMs)
      break
    case 'staged':
      if (!ledger.staged.has(event.index)) ledger.staged.set(event.index, event.payload)
      else if (ledger.staged.get(event.index)?.digest !== event.payload.digest) ledger.duplicates++
      break
    case 'gaveup':
      if (!ledger.gaveUp.has(event.index)) ledger.gaveUp.set(event.index, event.payload)
      break
    case 'dropped':
      ledger.dropped.push({ index: event.index, event: event.payload })
      break
    case 'assembling':
      foldAttempt(ledger.attempt, event)
      break
    case 'sealed':
      if (foldAttempt(ledger.attempt, event)) send(ledger, { type: 'SEALED', rows: event.payload.rows })
      break
    case 'assemblyfailed':
      send(ledger, { type: 'FAILED', reason: event.payload.reason })
      break
    case 'completed':
      send(ledger, { type: 'COMPLETED' })
      break
    case 'uploaded':
      ledger.uploaded = event.payload
      ledger.uploadedMs = event.timeMs
      send(ledger, { type: 'UPLOADED' })
      break
    case 'uploadfailed':
      send(ledger, { type: 'FAILED', reason: event.payload.reason })
      break
    case 'summarised':
      ledger.summarised = true
      break
    case 'part':
    case 'uploadopened':
      break
  }
}

/** What an earlier controller decided stands: the machine is led there by the event that leads there. */
function foldState(ledger: Ledger, state: string, why: string, timeMs: number): void {
  if (state === 'sealing') {
    ledger.sealingMs ??= timeMs
    send(ledger, { type: 'TICK', nowMs: ledger.machine.context.timers.drainEndMs })
    send(ledger, { type: 'DRAINED' })
  } else if (state === 'draining') send(ledger, { type: 'TICK', nowMs: ledger.machine.context.timers.claimsCloseMs })
  else if (state === 'preparing') send(ledger, { type: 'PREPARE' })
  else if (state === 'skipped') send(ledger, { type: 'SUPERSEDED', reason: why })
  else if (state === 'failed') send(ledger, { type: 'FAILED', reason: why })
}

export function stateOf(ledger: Ledger): string {
  return ledger.machine.value as string
}

export function isOver(ledger: Ledger): boolean {
  return ledger.machine.status === 'done'
}

/** Indices on which nothing more is to be done: staged, or given up by their generator. */
export function settled(ledger: Ledger): Set<number> {
  return new Set([...ledger.staged.keys(), ...ledger.gaveUp.keys()])
}

function outcomeOf(ledger: Ledger): Outcome {
  const state = stateOf(ledger)
  const { sealed } = ledger.attempt
  if (state === 'skipped') return 'SKIPPED'
  if (state === 'failed') return 'MISSED'
  // Nothing was made, or nothing of what was made could be used.
  if (!sealed || sealed.rows === 0) return ledger.staged.size === 0 ? 'EMPTY' : 'MISSED'
  return sealed.truncated ? 'TRUNCATED' : 'UPLOADED'
}

function whyEmpty({ staged }: Ledger): string {
  return staged.size === 0 ? 'no group was staged' : `none of ${staged.size} staged groups could be written`
}

/** The fleet's summary of a window that is over. */
export function summaryOf(ledger: Ledger): Summary {
  const { window, epoch, opened } = ledger
  const { sealed } = ledger.attempt
  const context = ledger.machine.context
  const present = indicesOf(sealed?.indices ?? [])
  const claimed = [...ledger.claims.keys()]
  const hole = claimed.length > 0 ? firstHole([...present, Math.max(...claimed) + 1]) : undefined
  const dropped: Record<string, number> = {}
  const count = (reason: string) => {
    dropped[reason] = (dropped[reason] ?? 0) + 1
  }
  for (const { event } of ledger.dropped) count(event.reason)
  for (const { reason } of ledger.gaveUp.values()) count(reason)
  const outcome = outcomeOf(ledger)
  const isDelivered = outcome === 'UPLOADED' || outcome === 'TRUNCATED'
  // What was uploaded of a window that was given up is taken away again.
  const uploaded = isDelivered ? ledger.uploaded : undefined
  const seconds: Record<string, number> = {}
  if (sealed)
    Object.assign(seconds, { read: sealed.seconds.read, encode: sealed.seconds.encode, seal: sealed.seconds.tail })
  if (uploaded) Object.assign(seconds, { complete: uploaded.seconds.complete, verify: uploaded.seconds.verify })
  if (ledger.sealingMs !== undefined && ledger.uploadedMs !== undefined)
    seconds.tail = (ledger.uploadedMs - ledger.sealingMs) / 1000
  const reason = context.reason !== '' ? context.reason : sealed?.rows === 0 ? whyEmpty(ledger) : undefined
  return {
    actor: 'fleet',
    window,
    epoch,
    state: outcome,
    ...(reason === undefined ? {} : { reason }),
    rollouts: isDelivered ? (sealed?.rows ?? 0) : 0,
    problems: isDelivered ? (sealed?.groups ?? 0) : 0,
    ...(hole === undefined ? {} : { firstHole: hole }),
    dropped,
    duplicates: ledger.duplicates,
    bytes: uploaded?.bytes ?? 0,
    seconds,
    ...(uploaded ? { secondsLeft: uploaded.secondsLeft, sha256: uploaded.sha256 } : {}),
    checkpoint: opened?.checkpoint.window ?? 0,
  }
}

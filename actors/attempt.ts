import type { Sealed } from './aggregator/messages.js'
import type { JournalEvent } from './journal.js'

/** Which making of a window's file counts. Everybody who folds the journal in order comes to the same. */
export interface Attempt {
  /** 0 before the first. */
  number: number
  /** Instance and boot of the aggregator that makes it. */
  aggregator: string
  /** Set once and for all: a sealed file is never made again. */
  sealed: Sealed | undefined
}

export function noAttempt(): Attempt {
  return { number: 0, aggregator: '', sealed: undefined }
}

/**
 * Folds an event into `attempt`, and tells whether it changed anything. Two aggregators can be at work for a moment (one was
 * stopped, lost its lease and goes on): of two that begin under one number the first counts, what an earlier one still says
 * does not, and after a seal nothing more does.
 */
export function foldAttempt(attempt: Attempt, event: JournalEvent): boolean {
  if (attempt.sealed) return false
  if (event.kind === 'assembling' && event.payload.attempt > attempt.number) {
    attempt.number = event.payload.attempt
    attempt.aggregator = event.payload.aggregator
    return true
  }
  if (event.kind === 'sealed' && event.payload.attempt === attempt.number) {
    attempt.sealed = event.payload
    return true
  }
  return false
}

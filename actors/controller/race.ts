import type { Desk } from './desk.js'
import { isOver, type Ledger, stateOf } from './ledger.js'

/** Blocks after W at which the list of checkpoints is read again: a marker of the window before may appear seconds after W (protocol.md §8.2). */
const LOOK_AGAIN_BLOCKS = 2

/** The file is about to be sealed. */
const LATE: ReadonlySet<string> = new Set(['draining', 'sealing'])

/**
 * Is the checkpoint of an open window still the one a validator will take? Asked once shortly after the start and once
 * before the file is sealed; a newer one discards the window rather than risk a ban. Nobody waits for the answer: the
 * trainer's bucket, or the chain that names it, may be away for longer than the window has left.
 */
export function watchForRace(desk: Desk, ledger: Ledger, bestNumber: number): void {
  const { opened, window } = ledger
  if (!opened || isOver(ledger)) return
  const early = bestNumber >= window + LOOK_AGAIN_BLOCKS
  const late = LATE.has(stateOf(ledger))
  const due = (late && ledger.looks < 2) || (early && ledger.looks < 1)
  if (!due) return
  // Counted before the answer: a list that cannot be read now is not asked for at every tick.
  ledger.looks = late ? 2 : 1
  const { log, checkpoint } = desk.parts
  const unreadable = 'the checkpoint list could not be read again'
  checkpoint(window, desk.signal)
    .then(async now => {
      if (typeof now === 'string') {
        log.warn({ window, why: now }, unreadable)
        return
      }
      const before = opened.checkpoint
      if (now.window === before.window && now.weightsHash === before.weightsHash) return
      const reason = `checkpoint ${now.window} became ready after the window was opened with ${before.window}`
      await desk.move(ledger, { type: 'SUPERSEDED', reason })
    })
    .catch(error => {
      if (!desk.signal.aborted) log.warn({ window, err: error }, unreadable)
    })
}

import type { Desk } from './desk.js'
import { isOver, type Ledger, stateOf } from './ledger.js'

/** Blocks after W at which the list of checkpoints is read again: a marker of the window before may appear seconds after W (protocol.md §8.2). */
const LOOK_AGAIN_BLOCKS = 2

/**
 * Is the checkpoint of an open window still the one a validator will take? Asked once shortly after the start and once
 * before the file is sealed; a newer one discards the window rather than risk a ban.
 */
export async function watchForRace(desk: Desk, ledger: Ledger, bestNumber: number): Promise<void> {
  const { opened } = ledger
  if (!opened || isOver(ledger)) return
  const early = bestNumber >= ledger.window + LOOK_AGAIN_BLOCKS
  const late = stateOf(ledger) === 'draining' || stateOf(ledger) === 'sealing'
  const due = (late && ledger.looks < 2) || (early && ledger.looks < 1)
  if (!due) return
  // Counted before the answer: a list that cannot be read now is not asked for at every tick.
  ledger.looks = late ? 2 : 1
  const now = await desk.parts.checkpoint(ledger.window, desk.signal)
  if (typeof now === 'string') {
    desk.parts.log.warn({ window: ledger.window, why: now }, 'the checkpoint list could not be read again')
    return
  }
  const { window, weightsHash } = opened.checkpoint
  if (now.window !== window || now.weightsHash !== weightsHash)
    await desk.move(ledger, {
      type: 'SUPERSEDED',
      reason: `checkpoint ${now.window} became ready after the window was opened with ${window}`,
    })
}

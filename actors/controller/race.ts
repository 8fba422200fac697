import { weightsKey } from '../../src/checkpoint/weights-key.js'
import type { Desk } from './desk.js'
import { isOver, type Ledger, stateOf } from './ledger.js'

/** Blocks after W at which the list of checkpoints is read again: a marker of the window before may appear seconds after W (protocol.md §8.2). */
const LOOK_AGAIN_BLOCKS = 2
/** Most times that a list which cannot be read is asked for at either moment. */
const ATTEMPTS = 3
/** Wait between two of them, ms: half a block. */
const AGAIN_MS = 6_000
const UNREADABLE = 'the checkpoint list could not be read again'

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
  const { parts, signal } = desk
  newerThan(desk, window, opened.checkpoint)
    .then(newer => (newer === undefined ? undefined : discard(desk, ledger, newer)))
    .catch(error => {
      if (!signal.aborted)
        parts.log.error({ window, err: error }, 'what follows from another checkpoint could not be done')
    })
}

/** A sentence when another checkpoint counts for the window now; undefined when it is the same, or nobody can tell. */
async function newerThan(
  { parts: { checkpoint, clock, log }, signal }: Desk,
  window: number,
  before: { window: number; weightsHash: string },
): Promise<string | undefined> {
  for (let attempt = 1; attempt <= ATTEMPTS && !signal.aborted; attempt++) {
    if (attempt > 1) await clock.sleep(AGAIN_MS, signal)
    try {
      const now = await checkpoint(window, signal)
      if (typeof now === 'string') {
        log.warn({ window, attempt, why: now }, UNREADABLE)
        continue
      }
      return weightsKey(now) === weightsKey(before)
        ? undefined
        : `checkpoint ${now.window} became ready after the window was opened with ${before.window}`
    } catch (error) {
      if (!signal.aborted) log.warn({ window, attempt, err: error }, UNREADABLE)
    }
  }
  return undefined
}

async function discard({ parts, move }: Desk, ledger: Ledger, reason: string): Promise<void> {
  const { window, epoch } = ledger
  if (stateOf(ledger) === 'done' && ledger.uploaded)
    parts.log.error(
      { window, epoch, why: reason },
      'ALARM: the window has been uploaded with a checkpoint that does not count',
    )
  else await move(ledger, { type: 'SUPERSEDED', reason })
}

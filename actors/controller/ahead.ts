import { announce } from '../../nats/index.js'
import type { CheckpointMetadata } from '../../src/checkpoint/metadata.js'
import { weightsKey } from '../../src/checkpoint/weights-key.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import type { Desk } from './desk.js'
import { type CheckpointName, nextCheckpoint } from './messages.js'

/** What a window's events say of a checkpoint. */
export function nameOf({ window, modelName, weightsHash, environment }: CheckpointMetadata): CheckpointName {
  return { window, modelName, weightsHash, environment }
}

/**
 * Looks which checkpoint the next window would be opened with, and says in the journal of the running one when it is
 * another: a marker is known up to a whole window ahead, so that hosts can fetch and GPUs swap before they need it.
 * @returns to be called with the window of every best head: the bucket is listed once per block for the whole fleet, never
 *   twice at once. What goes wrong is looked at again with the next block.
 */
export function lookAhead({ parts, ledgers, signal }: Desk): (window: number) => void {
  let looking = false

  async function look(window: number): Promise<void> {
    const before = ledgers.newestOf(window)
    if (!before?.opened) return
    const found = await parts.checkpoint(window + WINDOW_BLOCKS, signal)
    // A later epoch may have been opened while the bucket was listed.
    const ledger = ledgers.newestOf(window)
    if (typeof found === 'string') return parts.log.debug({ window, why: found }, 'the next checkpoint is not known')
    if (!ledger?.opened) return
    const checkpoint = nameOf(found)
    if (weightsKey(checkpoint) === weightsKey(ledger.next ?? ledger.opened.checkpoint)) return
    const { epoch } = ledger
    const said = { checkpoint, atMs: parts.clock.now() }
    await announce(parts.broker, nextCheckpoint, { window, epoch }, said, { signal })
    ledger.next = checkpoint
    parts.log.info({ window, epoch, checkpoint: checkpoint.window }, 'checkpoint of the next window')
  }

  return window => {
    if (looking) return
    looking = true
    look(window)
      .catch((error: unknown) => {
        if (!signal.aborted) parts.log.warn({ window, err: error }, 'the next checkpoint could not be looked for')
      })
      .finally(() => {
        looking = false
      })
  }
}

import { WINDOW_BLOCKS } from '../../src/window/block.js'
import type { Desk } from './desk.js'

/** A fleet that knows of no window for longer than this, an hour, was switched off: then nothing was lost. */
const SWITCHED_OFF_WINDOWS = 10

/** Most windows that get a summary of their own, two hours: more ledgers are not kept. The log names all of them. */
const MOST_SUMMARISED = 20

/**
 * Windows that came and went while the chain or every controller was away have no file, and get a summary that says why.
 * @returns to be called with the window of a best head, not twice at once. When it rejects, the next call tells what is left
 */
export function watchPassed(desk: Desk): (window: number) => Promise<void> {
  /** The newest window of which this controller has seen a block, and before which all is told. */
  let following: number | undefined
  return async window => {
    await tellPassed(desk, window, following)
    following = Math.max(window, following ?? window)
  }
}

async function tellPassed(
  { ledgers, move, parts }: Desk,
  window: number,
  following: number | undefined,
): Promise<void> {
  const known = following ?? Math.max(...ledgers.all().map(ledger => (ledger.window <= window ? ledger.window : 0)), 0)
  if (known === 0) return
  const first = known + WINDOW_BLOCKS
  const count = (window - first) / WINDOW_BLOCKS
  if (count <= 0 || (following === undefined && count > SWITCHED_OFF_WINDOWS)) return
  const last = window - WINDOW_BLOCKS
  parts.log.error({ first, last, windows: count }, 'ALARM: windows have passed of which no block was seen')
  for (let lost = Math.max(first, window - MOST_SUMMARISED * WINDOW_BLOCKS); lost <= last; lost += WINDOW_BLOCKS)
    await move(ledgers.of(lost, ledgers.newestOf(lost)?.epoch ?? 1), {
      type: 'SUPERSEDED',
      reason: 'no block of it was seen: the chain, or every controller, was away',
    })
}

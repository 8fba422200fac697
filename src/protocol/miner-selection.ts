import { createHash } from 'node:crypto'
import { utf8 } from './python-text.js'

/** Share of the eligible miners a validator checks in a window, and its bounds (one-covenant/grail grail/protocol/constants.py, 54d6342). */
export const MINER_SAMPLE = { share: 0.25, min: 2, max: 35 } as const

/** Windows a miner stays out of the selection after a failure, counted in processed windows (grail/protocol/constants.py, 54d6342). */
export const FAILURE_LOOKBACK_WINDOWS = 14

/** How many of `active` miners are checked (grail/validation/sampling.py:274, 54d6342). */
export function minerSampleSize(active: number): number {
  if (active <= 0) return 0
  const wanted = Math.max(MINER_SAMPLE.min, Math.ceil(active * MINER_SAMPLE.share))
  return Math.min(wanted, MINER_SAMPLE.max, active)
}

/**
 * The miners a validator checks in a window: those chosen least often lately first, ties by the u64 of
 * sha256('windowHash:hotkey') (grail/validation/sampling.py:195, 54d6342).
 * @param recentSelections how often each was chosen in the last 12 windows; absent counts as 0
 */
export function selectMiners(
  active: readonly string[],
  windowHash: string,
  recentSelections: Readonly<Record<string, number>>,
): string[] {
  const ranked = active.map(hotkey => ({
    hotkey,
    selections: Math.trunc(Object.hasOwn(recentSelections, hotkey) ? recentSelections[hotkey]! : 0),
    tieBreak: createHash('sha256')
      .update(utf8(`${windowHash}:${hotkey}`))
      .digest()
      .readBigUInt64BE(0),
  }))
  ranked.sort((a, b) => a.selections - b.selections || (a.tieBreak < b.tieBreak ? -1 : a.tieBreak > b.tieBreak ? 1 : 0))
  return ranked.slice(0, minerSampleSize(active.length)).map(({ hotkey }) => hotkey)
}

import { WINDOW_BLOCKS } from '../window/block.js'

/** Windows from one FULL checkpoint to the next (one-covenant/grail grail/shared/config.py DELTA_BASE_INTERVAL, 54d6342). */
export const ANCHOR_WINDOWS = 10
const ANCHOR_BLOCKS = ANCHOR_WINDOWS * WINDOW_BLOCKS

/** The first windows of the chain's history are always kept (grail/shared/retention_utils.py:25-81, 54d6342). */
const BOOTSTRAP_WINDOWS = 10

/** Window of the FULL checkpoint at or below `window` (retention_utils.py, 54d6342). */
export function anchorWindow(window: number): number {
  return Math.floor(window / ANCHOR_BLOCKS) * ANCHOR_BLOCKS
}

export function isAnchorWindow(window: number): boolean {
  return anchorWindow(window) === window
}

/**
 * Windows whose checkpoints stay, ascending: the first ten, everything from the anchor before the current one up to now,
 * and milestones (retention_utils.py:25-81, 54d6342). Empty for a negative window.
 * @param milestoneWindows distance of milestones in windows; 0, the reference's setting, keeps none
 */
export function retainedWindows(current: number, milestoneWindows = 0): number[] {
  if (current < 0) return []
  const keep = new Set<number>()
  for (let i = 0; i < BOOTSTRAP_WINDOWS && i * WINDOW_BLOCKS <= current; i++) keep.add(i * WINDOW_BLOCKS)
  const previousAnchor = Math.max(0, anchorWindow(current) - ANCHOR_BLOCKS)
  for (let window = previousAnchor; window < current + WINDOW_BLOCKS; window += WINDOW_BLOCKS) keep.add(window)
  if (milestoneWindows > 0)
    for (let window = 0; window <= current; window += milestoneWindows * WINDOW_BLOCKS) keep.add(window)
  return [...keep].sort((a, b) => a - b)
}

/**
 * Windows that the retained deltas need below them, ascending: every link back to the anchor, and the anchor
 * (retention_utils.py compute_chain_windows, 54d6342). A chain that loops or breaks off ends there.
 * @param previous delta window → window it builds on
 * @param anchors delta window → its anchor; a delta without one is passed over
 */
export function chainWindows(
  retainedDeltas: Iterable<number>,
  previous: ReadonlyMap<number, number>,
  anchors: ReadonlyMap<number, number>,
): number[] {
  const keep = new Set<number>()
  for (const delta of retainedDeltas) {
    const anchor = anchors.get(delta)
    if (anchor === undefined) continue
    keep.add(anchor)
    const visited = new Set([delta])
    for (let link = previous.get(delta); link !== undefined; link = previous.get(link)) {
      keep.add(link)
      if (visited.has(link) || link === anchor) break
      visited.add(link)
    }
  }
  return [...keep].sort((a, b) => a - b)
}

import type { Head } from '../../src/chain/chain.js'
import { NOMINAL_BLOCK_MS } from '../../src/window/block.js'

/** With fewer intervals than this the pace before them says more. */
const MIN_INTERVALS = 10
/** Heads remembered: two windows. */
const HEADS = 60
/** Spans, in blocks, over which the chain is asked for its past pace: the longest one it still knows is taken. */
export const HISTORY_SPANS: readonly number[] = [60, 30, 10, 2]

/** How fast blocks come, from their own timestamps. */
export interface BlockTime {
  /** The pace of `span` blocks before the first head that was seen. */
  before(span: number, elapsedMs: number): void
  seen(head: Head): void
  /** Milliseconds per block: the median of what was measured, or the pace before it. */
  blockMs(): number
}

export function measureBlockTime(nominalMs: number = NOMINAL_BLOCK_MS): BlockTime {
  let heads: Head[] = []
  let priorMs = nominalMs
  return {
    before(span, elapsedMs) {
      if (span > 0 && elapsedMs > 0) priorMs = elapsedMs / span
    },
    seen(head) {
      // After a reorg the same numbers come again: what was seen from there on is void.
      heads = heads.filter(({ number }) => number < head.number)
      heads.push(head)
      if (heads.length > HEADS) heads.shift()
    },
    blockMs() {
      const intervals = heads.slice(1).map((head, i) => {
        const previous = heads[i] as Head
        return (head.timestampMs - previous.timestampMs) / (head.number - previous.number)
      })
      if (intervals.length < MIN_INTERVALS) return priorMs
      // The median: a chain that stood still for a minute goes on at its old pace. Blocks only run late, so D is never set too late by it.
      return intervals.sort((a, b) => a - b)[Math.floor(intervals.length / 2)] as number
    },
  }
}

import type { Head } from '../../src/chain/chain.js'

/** Heads remembered: two windows of blocks smooth the jitter of single ones. */
const HEADS = 60
/** Fewer blocks than this between first and last say nothing about the pace. */
const MIN_BLOCKS = 2

/** How fast blocks come, from their own timestamps. */
export interface BlockTime {
  seen(head: Head): void
  /** Milliseconds per block; undefined until a few were seen. */
  blockMs(): number | undefined
}

export function measureBlockTime(): BlockTime {
  let heads: Head[] = []
  return {
    seen(head) {
      // After a reorg the same numbers come again: what was seen from there on is void.
      heads = heads.filter(({ number }) => number < head.number)
      heads.push(head)
      if (heads.length > HEADS) heads.shift()
    },
    blockMs() {
      const first = heads[0]
      const last = heads.at(-1)
      if (!first || !last || last.number - first.number < MIN_BLOCKS) return undefined
      return (last.timestampMs - first.timestampMs) / (last.number - first.number)
    },
  }
}

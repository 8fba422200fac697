import type { Profile } from './profile.js'

/** What one miner handed in for a window. */
export interface Submission {
  /** Completion digest → how often it occurs. */
  digests: ReadonlyMap<string, number>
  /** Rows of the file. */
  total: number
  /** LastModified in unix seconds; null when unknown. Never the rows' own timestamps. */
  uploadTime: number | null
}

/** What is known of an interval of windows so far. Starts empty and anew with every interval. */
export interface CopycatLedger {
  pairs: Map<string, PairOverlap>
  totals: Map<string, number>
  uploadTimes: Map<string, number>
}

/** Shared completions of two miners. */
export interface PairOverlap {
  miners: readonly [string, string]
  shared: number
}

export interface CopycatVerdict {
  windowCheaters: Set<string>
  intervalCheaters: Set<string>
  /** Every pair that shares anything in this window, with shared / the smaller total. */
  pairs: (PairOverlap & { ratio: number })[]
}

/** A ledger of no windows. */
export function emptyLedger(): CopycatLedger {
  return { pairs: new Map(), totals: new Map(), uploadTimes: new Map() }
}

/**
 * Adds a window to the ledger and judges it: two miners overlap by Σ min(counts) / the smaller total, in the window and
 * over the interval (one-covenant/grail grail/validation/copycat_service.py:197, 54d6342). grail-v5 flags the later
 * uploader alone, and nobody when a time is missing or equal; fork-v1 flags both.
 */
export function judgeWindow(
  ledger: CopycatLedger,
  submissions: ReadonlyMap<string, Submission>,
  profile: Profile,
): CopycatVerdict {
  const windowPairs = overlaps(submissions)
  for (const [key, pair] of windowPairs) {
    const before = ledger.pairs.get(key)?.shared ?? 0
    ledger.pairs.set(key, { miners: pair.miners, shared: before + pair.shared })
  }
  const windowTotals = new Map<string, number>()
  const windowTimes = new Map<string, number>()
  for (const [miner, { total, uploadTime }] of submissions) {
    windowTotals.set(miner, total)
    ledger.totals.set(miner, (ledger.totals.get(miner) ?? 0) + total)
    if (uploadTime === null) continue
    windowTimes.set(miner, uploadTime)
    ledger.uploadTimes.set(miner, uploadTime)
  }
  const { window, interval, flagged } = profile.copycat
  return {
    windowCheaters: cheaters(windowPairs, windowTotals, windowTimes, window, flagged),
    intervalCheaters: cheaters(ledger.pairs, ledger.totals, ledger.uploadTimes, interval, flagged),
    pairs: [...windowPairs.values()].flatMap(pair => {
      const ratio = ratioOf(pair, windowTotals)
      return ratio === undefined ? [] : [{ ...pair, ratio }]
    }),
  }
}

function overlaps(submissions: ReadonlyMap<string, Submission>): Map<string, PairOverlap> {
  const holders = new Map<string, [miner: string, count: number][]>()
  for (const [miner, { digests }] of submissions)
    for (const [digest, count] of digests) {
      const known = holders.get(digest)
      if (known) known.push([miner, count])
      else holders.set(digest, [[miner, count]])
    }
  const pairs = new Map<string, PairOverlap>()
  for (const miners of holders.values())
    miners.forEach(([a, countA], index) => {
      for (const [b, countB] of miners.slice(index + 1)) {
        const shared = Math.min(countA, countB)
        if (shared <= 0) continue
        const key = JSON.stringify([a, b].sort())
        pairs.set(key, { miners: [a, b], shared: (pairs.get(key)?.shared ?? 0) + shared })
      }
    })
  return pairs
}

function ratioOf(pair: PairOverlap, totals: ReadonlyMap<string, number>): number | undefined {
  const smaller = Math.min(totals.get(pair.miners[0]) ?? 0, totals.get(pair.miners[1]) ?? 0)
  return smaller > 0 ? pair.shared / smaller : undefined
}

function cheaters(
  pairs: ReadonlyMap<string, PairOverlap>,
  totals: ReadonlyMap<string, number>,
  times: ReadonlyMap<string, number>,
  threshold: number,
  flagged: 'later' | 'both',
): Set<string> {
  const found = new Set<string>()
  for (const pair of pairs.values()) {
    if ((ratioOf(pair, totals) ?? 0) < threshold) continue
    const [a, b] = pair.miners
    const timeA = times.get(a)
    const timeB = times.get(b)
    if (flagged === 'both') found.add(a).add(b)
    else if (timeA !== undefined && timeB !== undefined && timeA !== timeB) found.add(timeA > timeB ? a : b)
  }
  return found
}

import type { Profile } from './profile.js'
import { exactSum } from './python-sum.js'

/** What a validator found for one miner in one window it checked. */
export interface WindowMetrics {
  /** trunc(rows · unique / checked) */
  estimatedUnique: number
  hadFailure: boolean
}

/** One miner of the metagraph. */
export interface ScoredMiner {
  uid: number
  /** Window → what was found, only for windows in which the miner was checked. */
  checked: ReadonlyMap<number, WindowMetrics>
  /** Windows of the range in which a file was there. */
  windowsActive: number
}

/**
 * Weights of all miners, in their order, summing to 1 when the burn uid is among them
 * (one-covenant/grail grail/scoring/weights.py:14, 54d6342). Validator-side: for dashboards and the simulated validator.
 * @param targetWindow newest window of the range
 * @param windowLength blocks
 */
export function scoreWeights(
  miners: readonly ScoredMiner[],
  targetWindow: number,
  windowLength: number,
  profile: Profile,
): number[] {
  const { cap, exponent, burnUid, burnPercent } = profile.score
  const range = recentWindows(targetWindow, windowLength, profile.score.windows)
  const capScore = power(cap, exponent)
  const shares = miners.map(miner => power(countedUnique(miner, range, cap), exponent) / capScore)
  const total = exactSum(shares)
  const relative = total > 1 ? shares.map(share => share / total) : shares

  const burnIndex = miners.findIndex(({ uid }) => uid === burnUid)
  if (burnIndex < 0) return relative
  if (total <= 0) return miners.map((_, index) => (index === burnIndex ? 1 : 0))
  const minersPart = 1 - burnPercent / 100
  const scale = Math.min(minersPart, minersPart * total) / exactSum(relative)
  const weights = relative.map((share, index) => (index === burnIndex ? 0 : share * scale))
  weights[burnIndex] = 1 - exactSum(weights)
  return weights
}

function recentWindows(target: number, length: number, count: number): number[] {
  const windows: number[] = []
  for (let window = Math.max(0, target - (count - 1) * length); window <= target; window += length) windows.push(window)
  return windows
}

/** Unique rollouts that count: extrapolated from the checked windows to the active ones, capped; 0 after any failure. */
function countedUnique(miner: ScoredMiner, range: readonly number[], cap: number): number {
  const checked = range.flatMap(window => miner.checked.get(window) ?? [])
  if (miner.windowsActive === 0 || checked.length === 0 || checked.some(({ hadFailure }) => hadFailure)) return 0
  const unique = checked.reduce((sum, { estimatedUnique }) => sum + estimatedUnique, 0)
  return Math.max(0, Math.min(unique * (miner.windowsActive / checked.length), cap))
}

/** base^exponent for a whole exponent, rounded once: Math.pow may differ from C's pow in the last bit. */
function power(base: number, exponent: number): number {
  let high = 1
  let low = 0
  for (let i = 0; i < exponent; i++) {
    const product = high * base
    low = productError(high, base, product) + low * base
    high = product
  }
  return high + low
}

/** a·b − product, exactly (Veltkamp's split, Dekker's product). */
function productError(a: number, b: number, product: number): number {
  const split = (value: number) => {
    const scaled = value * 134_217_729
    const high = scaled - (scaled - value)
    return [high, value - high] as const
  }
  const [aHigh, aLow] = split(a)
  const [bHigh, bLow] = split(b)
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow)
}

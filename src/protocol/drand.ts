/** A drand chain: rounds of fixed length since a genesis time. */
export interface DrandChain {
  /** Chain hash, 64 hex characters. */
  hash: string
  /** Unix seconds of round 1. */
  genesisTime: number
  /** Seconds per round. */
  period: number
}

/** The chain miners read by default (one-covenant/grail grail/infrastructure/drand.py:19-43, 54d6342). */
export const QUICKNET: DrandChain = {
  hash: '52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971',
  genesisTime: 1_692_803_367,
  period: 3,
}

/** drand's older chain of 30 s rounds, as the reference knows it (grail/infrastructure/drand.py:19-43, 54d6342). */
export const DRAND_MAINNET: DrandChain = {
  hash: '84b2234fb34e835dccd048255d7ad3194b81af7d978c3bf157e3469592ae4e02',
  genesisTime: 1_595_431_050,
  period: 30,
}

/** HTTP bases in the order the reference tries them (grail/infrastructure/drand.py:87-137, 54d6342). */
export const DRAND_BASES: readonly string[] = [
  'https://api.drand.sh',
  'https://drand.cloudflare.com',
  'https://api.drand.secureweb3.com:6875',
]

/**
 * Newest round at a moment, floor((t − genesis) / period) + 1; 0 and below before the genesis
 * (grail/infrastructure/drand.py:170, 54d6342). The mining path asks for the latest round instead.
 * @param unixSeconds may have a fraction
 */
export function drandRound(unixSeconds: number, chain: DrandChain = QUICKNET): number {
  return Math.floor((unixSeconds - chain.genesisTime) / chain.period) + 1
}

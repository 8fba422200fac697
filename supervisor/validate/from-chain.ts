import { openChain, type PolkadotChain } from '../../src/chain/polkadot.js'
import { challengeRandomness } from '../../src/protocol/randomness.js'
import { timeOut } from '../../src/time-out.js'
import { windowEnd } from '../../src/window/block.js'
import type { LoadedConfig } from '../config/load.js'

/** A chain that does not answer within this time, ms, is done without: the verdict then says what it could not judge. */
const ANSWER_MS = 15_000

/** What only the chain knows about a window. Asked when needed, over one connection for all files. */
export interface FromChain {
  /** Hash of block W; a sentence when it cannot be had. */
  hash(window: number): Promise<{ hash: string } | { why: string }>
  /** The challenge randomness of a validator without drand: from the hash of block W+30. */
  challenge(window: number): Promise<{ randomness: string } | { why: string }>
  close(): Promise<void>
}

export function fromChain({ config }: LoadedConfig, signal: AbortSignal): FromChain {
  let chain: PolkadotChain | undefined
  const hashOf = async (block: number): Promise<{ hash: string } | { why: string }> => {
    const { endpoints, genesis } = config.chain
    chain ??= openChain({ endpoints, ...(genesis === '' ? {} : { genesis }) })
    const limit = AbortSignal.any([signal, timeOut(ANSWER_MS)])
    try {
      await chain.link(limit)
      const hash = await chain.hash(block, limit)
      return hash === undefined ? { why: `the chain at ${endpoints[0]} does not know block ${block}` } : { hash }
    } catch (error) {
      signal.throwIfAborted()
      return {
        why: `the chain at ${endpoints.join(', ')} did not tell the hash of block ${block}: ${(error as Error).message}`,
      }
    }
  }
  return {
    hash: hashOf,
    async challenge(window) {
      const end = await hashOf(windowEnd(window))
      return 'why' in end ? end : { randomness: challengeRandomness(end.hash) }
    },
    close: async () => chain?.close(),
  }
}

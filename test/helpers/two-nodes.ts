import { type DevChain, type DevChainOptions, startDevChain } from '../../src/chain/dev/dev-chain.js'
import { type TcpProxy, tcpProxy } from './tcp-proxy.js'

/** Two nodes of one chain, each behind a proxy. They have the same blocks: no reorgs here. */
export interface TwoNodes {
  /** The node that makes the blocks. */
  readonly chain: DevChain
  /** Addresses of the proxies: of the node that follows, and of the one that makes the blocks. */
  readonly urls: readonly [string, string]
  readonly proxies: readonly [TcpProxy, TcpProxy]
  /** `true`: the following node takes no block any more. `false`: it catches up, and goes on. */
  lag(on: boolean): void
  /** Of both nodes. */
  setFinalityLag(blocks: number): void
  /** A new runtime in the next block, of both. */
  upgrade(): void
  /** Ends the proxies and the node that follows; `chain` is the caller's. */
  close(): Promise<void>
}

export async function startTwoNodes(options: DevChainOptions): Promise<TwoNodes> {
  // A block's hash follows from the seed and the timestamps before it: replayed, they give the same blocks.
  const stamps: number[] = []
  let replayed = 0
  let lagging = false
  let follower: DevChain | undefined
  const catchUp = () => {
    const missing = stamps.length - replayed
    // All at once, as the other node made them: heads between are not announced here either.
    if (follower && !lagging && missing > 0) follower.newBlock(missing)
  }
  const chain = await startDevChain({
    ...options,
    now: () => {
      const now = Date.now()
      stamps.push(now)
      setImmediate(catchUp)
      return now
    },
  })
  follower = await startDevChain({ ...options, stalled: true, now: () => stamps[replayed++] as number })
  const proxies = [await tcpProxy(follower.port), await tcpProxy(chain.port)] as const
  const both = [chain, follower]
  return {
    chain,
    proxies,
    urls: [`ws://127.0.0.1:${proxies[0].port}`, `ws://127.0.0.1:${proxies[1].port}`],
    lag: on => {
      lagging = on
      catchUp()
    },
    setFinalityLag: blocks => {
      for (const node of both) node.setFinalityLag(blocks)
    },
    upgrade: () => {
      for (const node of both) node.upgrade()
    },
    close: async () => {
      for (const proxy of proxies) await proxy.close()
      await follower.close()
    },
  }
}

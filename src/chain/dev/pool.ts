import type { Block } from './block.js'
import type { Extrinsic } from './extrinsic.js'
import { RpcError } from './rpc-error.js'

/** What happens to a watched extrinsic, as `author_extrinsicUpdate` tells it. */
export type ExtrinsicStatus = 'ready' | 'invalid' | { inBlock: string } | { retracted: string } | { finalized: string }

export type Watcher = (status: ExtrinsicStatus) => void

/** Extrinsics that wait for a block, and the watchers of those that wait for finality. */
export interface Pool {
  add(extrinsic: Extrinsic, watch?: Watcher): void
  /** What the next block takes: valid there, nonces consecutive per signer. Those that can never be valid are dropped. */
  take(number: number, specVersion: number, nonceOf: (account: string) => number): Extrinsic[]
  included(block: Block): void
  /** Puts the block's extrinsics back. */
  retracted(block: Block): void
  finalized(block: Block): void
  /** How many nonces from `nonce` on are taken by waiting extrinsics of the account. */
  waitingFrom(account: string, nonce: number): number
  unwatch(watch: Watcher): void
}

/** More waiting extrinsics than this are refused: the dev chain is one fleet's. */
const CAPACITY = 1_000

export function createPool(): Pool {
  const waiting = new Map<string, Extrinsic>()
  const watchers = new Map<string, Set<Watcher>>()
  const tell = (hash: string, status: ExtrinsicStatus) => {
    for (const watch of watchers.get(hash) ?? []) watch(status)
  }

  return {
    add: (extrinsic, watch) => {
      if (waiting.has(extrinsic.hash)) throw new RpcError(1013, 'Transaction Already Imported')
      for (const other of waiting.values()) {
        if (other.signer === extrinsic.signer && other.nonce === extrinsic.nonce) {
          throw new RpcError(1014, 'Priority is too low', 'another transaction of this nonce waits')
        }
      }
      if (waiting.size >= CAPACITY) throw new RpcError(1016, 'Immediately Dropped', 'the pool is full')
      waiting.set(extrinsic.hash, extrinsic)
      if (!watch) return
      const all = watchers.get(extrinsic.hash) ?? new Set()
      watchers.set(extrinsic.hash, all.add(watch))
      watch('ready')
    },
    take: (number, specVersion, nonceOf) => {
      const taken: Extrinsic[] = []
      const next = new Map<string, number>()
      for (const extrinsic of [...waiting.values()].sort((a, b) => a.nonce - b.nonce)) {
        const expected = next.get(extrinsic.signer) ?? nonceOf(extrinsic.signer)
        if (extrinsic.nonce > expected) continue
        waiting.delete(extrinsic.hash)
        if (extrinsic.nonce < expected || extrinsic.death < number || extrinsic.specVersion !== specVersion) {
          tell(extrinsic.hash, 'invalid')
          watchers.delete(extrinsic.hash)
          continue
        }
        taken.push(extrinsic)
        next.set(extrinsic.signer, expected + 1)
      }
      return taken
    },
    included: block => {
      for (const { hash } of block.extrinsics) tell(hash, { inBlock: block.hash })
    },
    retracted: block => {
      for (const extrinsic of block.extrinsics) {
        waiting.set(extrinsic.hash, extrinsic)
        tell(extrinsic.hash, { retracted: block.hash })
      }
    },
    finalized: block => {
      for (const { hash } of block.extrinsics) {
        tell(hash, { finalized: block.hash })
        watchers.delete(hash)
      }
    },
    waitingFrom: (account, nonce) => {
      const nonces = new Set([...waiting.values()].filter(x => x.signer === account).map(x => x.nonce))
      let count = 0
      while (nonces.has(nonce + count)) count++
      return count
    },
    unwatch: watch => {
      for (const [hash, all] of watchers) if (all.delete(watch) && all.size === 0) watchers.delete(hash)
    },
  }
}

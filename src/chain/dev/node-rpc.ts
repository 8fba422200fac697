import { hexToU8a, u8aToHex } from '@polkadot/util'
import * as z from 'zod'
import type { Authority } from './authority.js'
import { type Block, headerJson } from './block.js'
import type { Feed } from './feed.js'
import { RpcError, UNKNOWN_BLOCK } from './rpc-error.js'
import type { Runtime } from './runtime.js'
import { runtimeCall } from './runtime-call.js'
import type { Session } from './session.js'
import { difference, keysUnder, type State } from './state.js'

/** An RPC method. Its params are as they came; a zod error inside means they do not fit. */
export type Method = (params: unknown[], session: Session) => unknown

export interface NodeContext {
  authority: Authority
  netuid: number
  best: Feed<Block>
  final: Feed<Block>
}

const Hex = z.string().regex(/^0x([0-9a-f]{2})*$/i)
const At = Hex.nullish()

/** The part of a Substrate node's RPC that @polkadot/api uses. */
export function nodeMethods({ authority, netuid, best, final }: NodeContext): Record<string, Method> {
  const { ledger } = authority

  const blockAt = (hash: string | null | undefined): Block => {
    const block = hash ? ledger.byHash(hash.toLowerCase()) : ledger.best()
    if (!block)
      throw new RpcError(UNKNOWN_BLOCK, `Client error: UnknownBlock: Header was not found in the database: ${hash}`)
    return block
  }
  const stateAt = (hash: string | null | undefined): { state: State; runtime: Runtime; block: Block } => {
    const block = blockAt(hash)
    if (!block.state)
      throw new RpcError(UNKNOWN_BLOCK, `Client error: UnknownBlock: State already discarded for ${block.hash}`)
    return { state: block.state, runtime: block.runtime, block }
  }
  const heads = (of: Feed<Block>, current: () => Block, method: string): Method => {
    return (_params, session) =>
      session.subscribe(method, notify => {
        notify(headerJson(current()))
        return of.listen(block => notify(headerJson(block)))
      })
  }
  const unsubscribe: Method = ([id], session) => session.unsubscribe(z.string().parse(id))
  const account = (address: unknown): string =>
    u8aToHex(ledger.best().runtime.registry.createType('AccountId32', z.string().parse(address)).toU8a())

  const methods: Record<string, Method> = {
    system_chain: () => 'Bittensor dev chain',
    system_name: () => 'grail devchain',
    system_version: () => '1',
    system_properties: () => ({ ss58Format: 42, tokenDecimals: 9, tokenSymbol: 'TAO' }),
    system_health: () => ({ peers: 0, isSyncing: false, shouldHavePeers: false }),
    system_accountNextIndex: ([address]) => authority.nextNonce(account(address)),

    chain_getBlockHash: ([number]) => {
      if (number === undefined || number === null) return ledger.best().hash
      return ledger.byNumber(z.coerce.number().int().nonnegative().parse(number))?.hash ?? null
    },
    chain_getHeader: ([hash]) => {
      const at = At.parse(hash)
      const block = at ? ledger.byHash(at.toLowerCase()) : ledger.best()
      return block ? headerJson(block) : null
    },
    chain_getBlock: ([hash]) => {
      const at = At.parse(hash)
      const block = at ? ledger.byHash(at.toLowerCase()) : ledger.best()
      if (!block) return null
      const extrinsics = block.extrinsics.map(extrinsic => extrinsic.bytes)
      return { block: { header: headerJson(block), extrinsics }, justifications: null }
    },
    chain_getFinalizedHead: () => ledger.finalized().hash,
    chain_subscribeNewHeads: heads(best, ledger.best, 'chain_newHead'),
    chain_unsubscribeNewHeads: unsubscribe,
    // the singular is a node's alias, and what polkadot-js calls
    chain_subscribeNewHead: heads(best, ledger.best, 'chain_newHead'),
    chain_unsubscribeNewHead: unsubscribe,
    chain_subscribeFinalizedHeads: heads(final, ledger.finalized, 'chain_finalizedHead'),
    chain_unsubscribeFinalizedHeads: unsubscribe,

    state_getRuntimeVersion: ([hash]) => blockAt(At.parse(hash)).runtime.version,
    state_getMetadata: ([hash]) => blockAt(At.parse(hash)).runtime.metadata,
    state_getStorage: ([key, hash]) => stateAt(At.parse(hash)).state.get(Hex.parse(key).toLowerCase()) ?? null,
    state_queryStorageAt: ([keys, hash]) => {
      const { state, block } = stateAt(At.parse(hash))
      return [{ block: block.hash, changes: valuesOf(state, z.array(Hex).parse(keys)) }]
    },
    state_getKeysPaged: ([prefix, count, start, hash]) => {
      const after = Hex.nullish().parse(start)
      const keys = keysUnder(stateAt(At.parse(hash)).state, Hex.parse(prefix).toLowerCase())
      return keys.filter(key => !after || key > after.toLowerCase()).slice(0, z.number().int().positive().parse(count))
    },
    state_subscribeRuntimeVersion: (_params, session) =>
      session.subscribe('state_runtimeVersion', notify => {
        let told = ledger.best().runtime.version
        notify(told)
        return best.listen(({ runtime }) => {
          if (runtime.version === told) return
          told = runtime.version
          notify(told)
        })
      }),
    state_unsubscribeRuntimeVersion: unsubscribe,
    state_subscribeStorage: ([keys], session) => {
      const watched = z.array(Hex).parse(keys)
      return session.subscribe('state_storage', notify => {
        const { state, block } = stateAt(null)
        notify({ block: block.hash, changes: valuesOf(state, watched) })
        let before: State = state
        return best.listen(({ hash, state }) => {
          if (!state) return
          const changed = difference(before, state)
          before = state
          const changes = watched.filter(key => changed.has(key)).map(key => [key, changed.get(key) ?? null])
          if (changes.length > 0) notify({ block: hash, changes })
        })
      })
    },
    state_unsubscribeStorage: unsubscribe,
    state_call: ([name, data, hash]) => {
      const { state, runtime, block } = stateAt(At.parse(hash))
      return runtimeCall(
        { runtime, state, netuid, block: block.number },
        z.string().parse(name),
        hexToU8a(Hex.parse(data)),
      )
    },

    author_submitExtrinsic: ([bytes]) => authority.submit(Hex.parse(bytes)),
    author_submitAndWatchExtrinsic: ([bytes], session) => {
      let notify: ((status: unknown) => void) | undefined
      const early: unknown[] = []
      const watch = (status: unknown) => (notify ? notify(status) : early.push(status))
      authority.submit(Hex.parse(bytes), watch)
      return session.subscribe('author_extrinsicUpdate', send => {
        notify = send
        for (const status of early) send(status)
        return () => authority.unwatch(watch)
      })
    },
    author_unwatchExtrinsic: unsubscribe,
  }
  return { ...methods, rpc_methods: () => ({ methods: Object.keys(methods) }) }
}

function valuesOf(state: State, keys: string[]): [string, string | null][] {
  return keys.map(key => [key, state.get(key.toLowerCase()) ?? null])
}

import { compactToU8a, hexToU8a, stringToU8a, u8aConcat, u8aToHex } from '@polkadot/util'
import { blake2AsHex } from '@polkadot/util-crypto'
import type { Extrinsic } from './extrinsic.js'
import type { Runtime } from './runtime.js'
import type { State } from './state.js'

/** What an operator of the dev chain asked for, done at the start of a block like an inherent; repeated when a reorg undoes it. */
export type Intervention = (context: { runtime: Runtime; state: State; number: number }) => Runtime | undefined

export interface Block {
  number: number
  hash: string
  parentHash: string
  stateRoot: string
  extrinsicsRoot: string
  timestampMs: number
  extrinsics: readonly Extrinsic[]
  interventions: readonly Intervention[]
  /** Rules that hold after this block: an upgrade in it is already in force here. */
  runtime: Runtime
  /** Storage after the block; undefined once pruned. */
  state: State | undefined
}

/** Header as the RPC gives it. */
export interface HeaderJson {
  parentHash: string
  number: string
  stateRoot: string
  extrinsicsRoot: string
  digest: { logs: [] }
}

export function headerJson(block: Block): HeaderJson {
  return {
    parentHash: block.parentHash,
    number: `0x${block.number.toString(16)}`,
    stateRoot: block.stateRoot,
    extrinsicsRoot: block.extrinsicsRoot,
    digest: { logs: [] },
  }
}

/** The parent of block 0. */
export const NO_PARENT = `0x${'00'.repeat(32)}`

/** Stands in for a trie root: any 32 bytes that follow from `parts`. */
export function root(...parts: (string | number)[]): string {
  return blake2AsHex(stringToU8a(parts.join('|')), 256)
}

/** blake2-256 of the SCALE header. Clients compute it themselves, so it must be the real one. */
export function headerHash(header: Pick<Block, 'number' | 'parentHash' | 'stateRoot' | 'extrinsicsRoot'>): string {
  const noLogs = compactToU8a(0)
  return blake2AsHex(
    u8aConcat(
      hexToU8a(header.parentHash),
      compactToU8a(header.number),
      hexToU8a(header.stateRoot),
      hexToU8a(header.extrinsicsRoot),
      noLogs,
    ),
    256,
  )
}

export function extrinsicsRoot(extrinsics: readonly Extrinsic[]): string {
  return root('extrinsics', ...extrinsics.map(extrinsic => extrinsic.hash))
}

/** SCALE of a `Vec` whose items are already encoded. */
export function encodedVec(items: readonly Uint8Array[]): string {
  return u8aToHex(u8aConcat(compactToU8a(items.length), ...items))
}

import { TypeRegistry } from '@polkadot/types'
import { hexToU8a } from '@polkadot/util'
import { xxhashAsHex } from '@polkadot/util-crypto'
import * as z from 'zod'
import { ChainError } from './chain-error.js'
import type { RpcConnection } from './rpc-connection.js'

// Heads need no metadata: a header's encoding and the key of Timestamp.Now are the same in every Substrate runtime.

const registry = new TypeRegistry()

/** Storage key of Timestamp.Now: twox128 of the pallet's and of the entry's name. */
const TIMESTAMP_NOW = `${xxhashAsHex('Timestamp', 128)}${xxhashAsHex('Now', 128).slice(2)}`

const HeaderJson = z.looseObject({ number: z.string().regex(/^0x[0-9a-f]+$/i) })

/** A header's number, and its hash recomputed from its bytes. Throws ChainError 'rpc' for what is no header. */
export function readHeader(json: unknown): { number: number; hash: string } {
  const parsed = HeaderJson.safeParse(json)
  if (!parsed.success) throw new ChainError('rpc', 'the node sent a head that is no header', 'later')
  const number = Number.parseInt(parsed.data.number, 16)
  const hash = registry.createType('Header', json as never).hash.toHex()
  return { number, hash }
}

/** Timestamp.Now at a block, unix ms; undefined when the node does not know the block or has pruned its state. */
export async function timestampAt(
  connection: RpcConnection,
  hash: string,
  signal?: AbortSignal,
): Promise<number | undefined> {
  let value: unknown
  try {
    value = await connection.request('state_getStorage', [TIMESTAMP_NOW, hash], signal)
  } catch (error) {
    if (error instanceof ChainError && error.code === 'rpc') return undefined
    throw error
  }
  const bytes = hexToU8a(z.string().parse(value ?? '0x'))
  if (bytes.length !== 8) return undefined
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
}

/** Hash of block `number` on the node's best chain; undefined when it has none: a node says null, polkadot-js all zeros. */
export async function hashAt(
  connection: RpcConnection,
  number: number,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const value = await connection.request('chain_getBlockHash', [number], signal)
  if (typeof value !== 'string' || /^0x0*$/.test(value)) return undefined
  return value.toLowerCase()
}

/** Number of the node's newest final block. */
export async function finalNumberAt(connection: RpcConnection, signal?: AbortSignal): Promise<number> {
  const hash = await connection.request('chain_getFinalizedHead', [], signal)
  return (await headerAt(connection, String(hash), signal)).number
}

/** Hash of block `number` when it is final by this node's own word; undefined when it is not yet. */
export async function finalHashAt(
  connection: RpcConnection,
  number: number,
  signal?: AbortSignal,
): Promise<string | undefined> {
  // In this order: what is final below the newest final block stays as it is.
  return (await finalNumberAt(connection, signal)) < number ? undefined : await hashAt(connection, number, signal)
}

/** Number and hash of the node's best block, or of the given one. */
export async function headerAt(
  connection: RpcConnection,
  hash?: string,
  signal?: AbortSignal,
): Promise<{ number: number; hash: string }> {
  return readHeader(await connection.request('chain_getHeader', hash === undefined ? [] : [hash], signal))
}

import type { Vec } from '@polkadot/types'
import type { DispatchError, EventRecord } from '@polkadot/types/interfaces'
import { hexToU8a } from '@polkadot/util'
import { blake2AsHex } from '@polkadot/util-crypto'
import * as z from 'zod'
import { ChainError } from './chain-error.js'
import type { Link } from './link.js'

const BlockJson = z.looseObject({ block: z.looseObject({ extrinsics: z.array(z.string()) }) })

/** What the runtime said of an extrinsic: undefined = it was carried out, else the error's name. */
export interface DispatchFailure {
  /** `pallet.Error` for a pallet's error, else the kind of error. */
  name: string
}

/** How an extrinsic fared in the block that holds it. Throws ChainError 'rpc' when the block does not hold it. */
export async function dispatchOutcome(
  link: Link,
  extrinsicHash: string,
  blockHash: string,
  signal: AbortSignal,
): Promise<DispatchFailure | undefined> {
  const body = BlockJson.safeParse(await link.connection.request('chain_getBlock', [blockHash], signal))
  const index = body.success
    ? body.data.block.extrinsics.findIndex(bytes => blake2AsHex(bytes, 256) === extrinsicHash)
    : -1
  if (index < 0) throw new ChainError('rpc', `block ${blockHash} does not hold the transaction`, 'unknown')
  const { registry, events } = await eventsOf(link, blockHash, signal)
  const failed = events.find(
    ({ phase, event }) =>
      phase.isApplyExtrinsic &&
      phase.asApplyExtrinsic.toNumber() === index &&
      event.section === 'system' &&
      event.method === 'ExtrinsicFailed',
  )
  if (!failed) return undefined
  const error = failed.event.data[0] as DispatchError
  if (!error.isModule) return { name: error.type }
  const { section, name } = registry.findMetaError(error.asModule)
  return { name: `${section}.${name}` }
}

/** A block's events, decoded by the runtime that made them: that of its parent, which an upgrade in the block replaces. */
async function eventsOf(link: Link, blockHash: string, signal: AbortSignal) {
  const api = await link.api(signal)
  const { registry } = await api.getBlockRegistry(hexToU8a(blockHash))
  const value = await link.connection.request('state_getStorage', [api.query.system?.events?.key(), blockHash], signal)
  const entry = registry.metadata.pallets
    .find(pallet => pallet.name.toString() === 'System')
    ?.storage.unwrap()
    .items.find(item => item.name.toString() === 'Events')
  if (typeof value !== 'string' || !entry) throw new ChainError('rpc', `block ${blockHash} shows no events`, 'unknown')
  const events = registry.createType(registry.createLookupType(entry.type.asPlain), hexToU8a(value))
  return { registry, events: events as unknown as Vec<EventRecord> }
}

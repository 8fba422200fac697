import type { Vec } from '@polkadot/types'
import type { DispatchError, EventRecord } from '@polkadot/types/interfaces'
import { blake2AsHex } from '@polkadot/util-crypto'
import * as z from 'zod'
import { ChainError } from './chain-error.js'
import type { Link } from './link.js'
import { readStorage } from './storage.js'

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
  const events = (await readStorage(link, 'system.events', [], { signal, at: blockHash })) as
    | Vec<EventRecord>
    | undefined
  const failed = events?.find(
    ({ phase, event }) =>
      phase.isApplyExtrinsic &&
      phase.asApplyExtrinsic.toNumber() === index &&
      event.section === 'system' &&
      event.method === 'ExtrinsicFailed',
  )
  if (!failed) return undefined
  const error = failed.event.data[0] as DispatchError
  if (!error.isModule) return { name: error.type }
  const { section, name } = (await link.api(signal)).registry.findMetaError(error.asModule)
  return { name: `${section}.${name}` }
}

import type { Codec } from '@polkadot/types/types'
import { hexToU8a, u8aToHex } from '@polkadot/util'
import { ChainError } from './chain-error.js'
import type { Link } from './link.js'

/**
 * A storage entry's value, decoded by the runtime's present metadata; undefined when nothing is stored.
 * Asked over our own connection rather than api.query: so a signal ends it and a failure is an error, not a log line.
 * @param at hash of the block; the best one when absent
 * @throws ChainError 'rpc' (never) when the runtime has no such entry
 */
export async function readStorage(
  link: Link,
  name: `${string}.${string}`,
  args: readonly unknown[],
  { signal, at }: { signal: AbortSignal; at?: string | undefined },
): Promise<Codec | undefined> {
  const api = await link.api(signal)
  const [pallet, entry] = name.split('.') as [string, string]
  const found = api.query[pallet]?.[entry]
  if (!found) throw missing(link, `storage entry ${name}`)
  const key = found.key(...args)
  const value = await link.connection.request('state_getStorage', at === undefined ? [key] : [key, at], signal)
  if (typeof value !== 'string') return undefined
  const { type } = found.creator.meta
  const valueType = api.registry.createLookupType(type.isPlain ? type.asPlain : type.asMap.value)
  return api.registry.createType(valueType, hexToU8a(value))
}

/** Calls a runtime API of one u16 argument, as all of subtensor's that a miner asks; names as the runtime has them. */
export async function callRuntime(
  link: Link,
  section: string,
  method: string,
  netuid: number,
  signal: AbortSignal,
): Promise<Codec> {
  const api = await link.api(signal)
  const found = api.runtimeMetadata.asLatest.apis
    .find(candidate => candidate.name.toString() === section)
    ?.methods.find(candidate => candidate.name.toString() === method)
  if (!found) throw missing(link, `runtime API ${section}.${method}`)
  const argument = u8aToHex(api.registry.createType('u16', netuid).toU8a())
  const value = await link.connection.request('state_call', [`${section}_${method}`, argument], signal)
  return api.registry.createType(api.registry.createLookupType(found.output), hexToU8a(String(value)))
}

function missing(link: Link, what: string): ChainError {
  const spec = link.specVersion()
  return new ChainError('rpc', `the runtime (spec ${spec}) of ${link.connection.endpoint} has no ${what}`, 'never')
}

import { expandMetadata, Metadata, TypeRegistry } from '@polkadot/types'
import type { StorageEntry } from '@polkadot/types/primitive/types'
import type { Codec } from '@polkadot/types/types'
import { compactStripLength, hexToU8a, u8aToHex } from '@polkadot/util'
import { blake2AsHex } from '@polkadot/util-crypto'
import { SPEC_NAME } from '../subtensor.js'

/** A runtime's description in use: storage keys, values, events and runtime-API answers in SCALE, as hex with 0x. */
export interface Runtime {
  specVersion: number
  registry: TypeRegistry
  /** The whole metadata blob, as the file holds it. */
  metadata: string
  metadataVersion: number
  /** RuntimeVersion as the RPC gives it. */
  version: object
  /** Storage key of an entry, e.g. key('subtensorModule', 'uids', 81, account). */
  key(pallet: string, entry: string, ...args: unknown[]): string
  /** All keys of a map start with this. */
  prefix(pallet: string, entry: string): string
  /** A value for the entry from plain JSON; fields left out become zeros. */
  encode(pallet: string, entry: string, value: unknown): string
  /** The entry's value as polkadot-js reads it. */
  decode(pallet: string, entry: string, value: string): Codec
  /** An event's bytes: pallet index, variant index, fields in the order of `fields`. */
  event(pallet: string, name: string, fields: readonly unknown[]): Uint8Array
  /** A DispatchError for a named error of a pallet. */
  moduleError(pallet: string, name: string): object
  /** The answer of a runtime-API method, e.g. api('NeuronInfoRuntimeApi', 'get_neurons_lite', []). */
  api(name: string, method: string, value: unknown): string
}

/**
 * Reads a metadata blob (version 14 or later) of a subtensor runtime, our own or a real one.
 * Throws an Error that says what is wrong when it is none or lacks a pallet the dev chain writes to.
 */
export function readRuntime(metadata: Uint8Array, specVersion: number): Runtime {
  const registry = new TypeRegistry()
  const meta = parse(registry, metadata)
  const latest = meta.asLatest
  const { query } = expandMetadata(registry, meta)
  for (const pallet of ['system', 'timestamp', 'subtensorModule', 'commitments', 'drand']) {
    if (!query[pallet]) throw new Error(`the metadata has no pallet '${pallet}': is it of a subtensor runtime?`)
  }

  function entry(pallet: string, name: string): StorageEntry {
    const found = query[pallet]?.[name]
    if (!found) throw new Error(`spec ${specVersion} has no storage entry ${pallet}.${name}`)
    return found
  }

  function valueType(pallet: string, name: string): string {
    const { type } = entry(pallet, name).meta
    return registry.createLookupType(type.isPlain ? type.asPlain : type.asMap.value)
  }

  function palletOf(name: string) {
    const found = latest.pallets.find(pallet => camel(pallet.name.toString()) === name)
    if (!found) throw new Error(`spec ${specVersion} has no pallet ${name}`)
    return found
  }

  return {
    specVersion,
    registry,
    metadata: u8aToHex(metadata),
    metadataVersion: meta.version,
    version: {
      specName: SPEC_NAME,
      implName: SPEC_NAME,
      authoringVersion: 1,
      specVersion,
      implVersion: 1,
      transactionVersion: 1,
      stateVersion: 1,
      apis: [['Metadata', 2] as const, ...latest.apis.map(api => [api.name.toString(), 1] as const)]
        .filter(([name], at, all) => all.findIndex(([other]) => other === name) === at)
        .map(([name, version]) => [blake2AsHex(name, 64), version]),
    },
    key: (pallet, name, ...args) => {
      const creator = entry(pallet, name)
      const [, key] = compactStripLength(args.length === 0 ? creator() : creator(...args))
      return u8aToHex(key)
    },
    prefix: (pallet, name) => u8aToHex(entry(pallet, name).keyPrefix()),
    encode: (pallet, name, value) => u8aToHex(registry.createType(valueType(pallet, name), value).toU8a()),
    decode: (pallet, name, value) => registry.createType(valueType(pallet, name), hexToU8a(value)),
    event: (pallet, name, fields) => {
      const { events, index } = palletOf(pallet)
      const variant = registry.lookup
        .getSiType(events.unwrap().type)
        .def.asVariant.variants.find(variant => variant.name.toString() === name)
      if (!variant) throw new Error(`spec ${specVersion} has no event ${pallet}.${name}`)
      const parts = variant.fields.map((field, i) =>
        registry.createType(registry.createLookupType(field.type), fields[i]).toU8a(),
      )
      return Buffer.concat([Buffer.from([index.toNumber(), variant.index.toNumber()]), ...parts])
    },
    moduleError: (pallet, name) => {
      const { errors, index } = palletOf(pallet)
      const variant = registry.lookup
        .getSiType(errors.unwrap().type)
        .def.asVariant.variants.find(variant => variant.name.toString() === name)
      if (!variant) throw new Error(`spec ${specVersion} has no error ${pallet}.${name}`)
      return { Module: { index: index.toNumber(), error: [variant.index.toNumber(), 0, 0, 0] } }
    },
    api: (name, method, value) => {
      const found = latest.apis
        .find(api => api.name.toString() === name)
        ?.methods.find(candidate => candidate.name.toString() === method)
      if (!found) throw new Error(`spec ${specVersion} has no runtime API ${name}.${method}`)
      return u8aToHex(registry.createType(registry.createLookupType(found.output), value).toU8a())
    },
  }
}

function parse(registry: TypeRegistry, bytes: Uint8Array): Metadata {
  try {
    const metadata = new Metadata(registry, bytes)
    // the last argument silences a warning about extensions that carry no bytes
    registry.setMetadata(metadata, undefined, undefined, true)
    return metadata
  } catch (cause) {
    throw new Error(`not the SCALE metadata of a runtime: ${(cause as Error).message.slice(0, 120)}`, { cause })
  }
}

/** How polkadot-js names a pallet: SubtensorModule → subtensorModule. */
function camel(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1)
}

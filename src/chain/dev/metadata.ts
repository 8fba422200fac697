import { TypeRegistry } from '@polkadot/types'
import { u8aToHex } from '@polkadot/util'
import { type CommonTypes, commonTypes } from './common-types.js'
import { COMMITMENTS_INDEX, type Pallet, pallets, type StorageEntry, system, systemEvents } from './pallets.js'
import { runtimeApis } from './runtime-apis.js'
import { type TypeId, type TypeTable, typeTable, type Variant } from './type-table.js'

/**
 * Metadata (version 15, SCALE bytes) of the dev chain's own runtime: the part of subtensor's that a miner uses.
 * @param commitmentsIndex index of the commitments pallet; a runtime upgrade of the dev chain moves it
 */
export function devMetadata(commitmentsIndex: number = COMMITMENTS_INDEX): Uint8Array {
  const table = typeTable()
  const c = commonTypes(table)
  const others = pallets(table, c, commitmentsIndex)
  const event = outerEnum(table, 'RuntimeEvent', [
    { name: 'System', index: 0, inner: table.variant('frame_system::pallet::Event', systemEvents(c)) },
    ...others.flatMap(p => (p.events ? [{ name: p.name, index: p.index, inner: palletEnum(table, p, 'Event') }] : [])),
  ])
  const all = [system(table, c, event), ...others]
  const call = outerEnum(table, 'RuntimeCall', outer(table, all, 'Call'))
  const error = outerEnum(table, 'RuntimeError', outer(table, all, 'Error'))
  const registry = new TypeRegistry()
  const v15 = {
    pallets: all.map(pallet => palletEntry(table, pallet)),
    extrinsic: extrinsic(table, c, call),
    type: c.unit,
    apis: runtimeApis(table, c).map(api => ({
      name: api.name,
      methods: api.methods.map(method => ({
        name: method.name,
        inputs: method.inputs.map(([name, type]) => ({ name, type })),
        output: method.output,
        docs: [],
      })),
      docs: [],
    })),
    outerEnums: { callType: call, eventType: event, errorType: error },
    custom: {},
    lookup: { types: table.entries() },
  }
  return Buffer.concat([MAGIC, registry.createType('MetadataAll', { V15: v15 }).toU8a()])
}

/** How every metadata blob starts. */
const MAGIC = Buffer.from('meta')

type Kind = 'Call' | 'Event' | 'Error'

function variantsOf(pallet: Pallet, kind: Kind): readonly Variant[] | undefined {
  return { Call: pallet.calls, Event: pallet.events, Error: pallet.errors }[kind]
}

function palletEnum(table: TypeTable, pallet: Pallet, kind: Kind): TypeId {
  const crate = pallet.name === 'System' ? 'frame_system' : `pallet_${pallet.name.toLowerCase()}`
  return table.variant(`${crate}::pallet::${kind}`, variantsOf(pallet, kind) ?? [])
}

function outer(table: TypeTable, all: readonly Pallet[], kind: Kind) {
  return all.flatMap(pallet =>
    variantsOf(pallet, kind)
      ? [{ name: pallet.name, index: pallet.index, inner: palletEnum(table, pallet, kind) }]
      : [],
  )
}

function outerEnum(table: TypeTable, name: string, of: { name: string; index: number; inner: TypeId }[]): TypeId {
  return table.variant(
    `node_subtensor_runtime::${name}`,
    of.map(({ name, index, inner }) => ({ name, index, fields: [inner] })),
  )
}

function palletEntry(table: TypeTable, pallet: Pallet): object {
  const type = (kind: Kind) => (variantsOf(pallet, kind) ? { type: palletEnum(table, pallet, kind) } : null)
  return {
    name: pallet.name,
    storage: { prefix: pallet.name, items: pallet.storage.map(entry => storageEntry(table, entry)) },
    calls: type('Call'),
    events: type('Event'),
    errors: type('Error'),
    constants: (pallet.constants ?? []).map(constant => ({ ...constant, value: u8aToHex(constant.value), docs: [] })),
    index: pallet.index,
    docs: [],
  }
}

function storageEntry(table: TypeTable, { name, keys, value, zeros }: StorageEntry): object {
  const types = (keys ?? []).map(([, type]) => type)
  return {
    name,
    modifier: zeros === undefined ? 'Optional' : 'Default',
    type: keys
      ? {
          Map: {
            hashers: keys.map(([hasher]) => hasher),
            key: types.length === 1 ? types[0] : table.tuple(types),
            value,
          },
        }
      : { Plain: value },
    // an optional entry falls back to None
    fallback: u8aToHex(new Uint8Array(zeros ?? 1)),
    docs: [],
  }
}

/** Signed extrinsics version 4 with the extensions of spec 424 that carry bytes, in its order. */
function extrinsic(table: TypeTable, c: CommonTypes, call: TypeId): object {
  const nothing = (path: string) => table.composite(path, [])
  const mode = table.variant('frame_metadata_hash_extension::Mode', [{ name: 'Disabled' }, { name: 'Enabled' }])
  const extensions: [identifier: string, type: TypeId, additionalSigned: TypeId][] = [
    ['CheckNonZeroSender', nothing('frame_system::extensions::check_non_zero_sender::CheckNonZeroSender'), c.unit],
    ['CheckSpecVersion', nothing('frame_system::extensions::check_spec_version::CheckSpecVersion'), c.u32],
    ['CheckTxVersion', nothing('frame_system::extensions::check_tx_version::CheckTxVersion'), c.u32],
    ['CheckGenesis', nothing('frame_system::extensions::check_genesis::CheckGenesis'), c.hash],
    ['CheckMortality', c.era, c.hash],
    ['CheckNonce', table.compact(c.u32), c.unit],
    ['CheckWeight', nothing('frame_system::extensions::check_weight::CheckWeight'), c.unit],
    ['ChargeTransactionPayment', table.compact(c.u64), c.unit],
    [
      'CheckMetadataHash',
      table.composite('frame_metadata_hash_extension::CheckMetadataHash', [['mode', mode]]),
      table.option(table.array(32, c.u8)),
    ],
  ]
  const extra = table.tuple(extensions.map(([, type]) => type))
  table.composite('sp_runtime::generic::unchecked_extrinsic::UncheckedExtrinsic', [c.bytes], {
    Address: c.address,
    Call: call,
    Signature: c.signature,
    Extra: extra,
  })
  return {
    version: 4,
    addressType: c.address,
    callType: call,
    signatureType: c.signature,
    extraType: extra,
    signedExtensions: extensions.map(([identifier, type, additionalSigned]) => ({
      identifier,
      type,
      additionalSigned,
    })),
  }
}

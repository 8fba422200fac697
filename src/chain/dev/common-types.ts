import type { TypeId, TypeTable } from './type-table.js'

/** Types that every Substrate runtime shares, by the names polkadot-js looks for. */
export interface CommonTypes {
  bool: TypeId
  u8: TypeId
  u16: TypeId
  u32: TypeId
  u64: TypeId
  u128: TypeId
  bytes: TypeId
  unit: TypeId
  accountId: TypeId
  hash: TypeId
  address: TypeId
  signature: TypeId
  era: TypeId
  weight: TypeId
  dispatchInfo: TypeId
  dispatchError: TypeId
  phase: TypeId
}

const names = (...list: string[]) => list.map(name => ({ name }))

export function commonTypes(table: TypeTable): CommonTypes {
  const u8 = table.primitive('U8')
  const u32 = table.primitive('U32')
  const u64 = table.primitive('U64')
  const bytes = table.sequence(u8)
  const bytes32 = table.array(32, u8)
  const bytes64 = table.array(64, u8)
  const unit = table.tuple([])
  const accountId = table.composite('sp_core::crypto::AccountId32', [bytes32])
  const weight = table.composite('sp_weights::weight_v2::Weight', [
    ['ref_time', table.compact(u64)],
    ['proof_size', table.compact(u64)],
  ])
  return {
    bool: table.primitive('Bool'),
    u8,
    u16: table.primitive('U16'),
    u32,
    u64,
    u128: table.primitive('U128'),
    bytes,
    unit,
    accountId,
    hash: table.composite('primitive_types::H256', [bytes32]),
    address: table.variant(
      'sp_runtime::multiaddress::MultiAddress',
      [
        { name: 'Id', fields: [accountId] },
        { name: 'Index', fields: [table.compact(unit)] },
        { name: 'Raw', fields: [bytes] },
        { name: 'Address32', fields: [bytes32] },
        { name: 'Address20', fields: [table.array(20, u8)] },
      ],
      { AccountId: accountId, AccountIndex: unit },
    ),
    signature: table.variant('sp_runtime::MultiSignature', [
      { name: 'Ed25519', fields: [bytes64] },
      { name: 'Sr25519', fields: [bytes64] },
      { name: 'Ecdsa', fields: [table.array(65, u8)] },
    ]),
    era: table.variant('sp_runtime::generic::era::Era', [
      { name: 'Immortal' },
      ...Array.from({ length: 255 }, (_, i) => ({ name: `Mortal${i + 1}`, fields: [u8] })),
    ]),
    weight,
    dispatchInfo: table.composite('frame_system::DispatchEventInfo', [
      ['weight', weight],
      ['class', table.variant('frame_support::dispatch::DispatchClass', names('Normal', 'Operational', 'Mandatory'))],
      ['pays_fee', table.variant('frame_support::dispatch::Pays', names('Yes', 'No'))],
    ]),
    dispatchError: table.variant('sp_runtime::DispatchError', [
      ...names('Other', 'CannotLookup', 'BadOrigin'),
      {
        name: 'Module',
        fields: [
          table.composite('sp_runtime::ModuleError', [
            ['index', u8],
            ['error', table.array(4, u8)],
          ]),
        ],
      },
    ]),
    phase: table.variant('frame_system::Phase', [
      { name: 'ApplyExtrinsic', fields: [u32] },
      ...names('Finalization', 'Initialization'),
    ]),
  }
}

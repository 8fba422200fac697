import type { CommonTypes } from './common-types.js'
import type { TypeId, TypeTable, Variant } from './type-table.js'

type Hasher = 'Identity' | 'Blake2_128Concat' | 'Twox64Concat'

/** A storage entry: a plain value, or a map with one or two keys. */
export interface StorageEntry {
  name: string
  keys?: readonly (readonly [hasher: Hasher, type: TypeId])[]
  value: TypeId
  /** An absent value reads as this many zero bytes (the zero of its type); without it the value is optional. */
  zeros?: number
}

/** What a pallet of the dev runtime shows. Names, hashers, types and indices as in opentensor/subtensor, spec 424. */
export interface Pallet {
  name: string
  index: number
  storage: readonly StorageEntry[]
  calls?: readonly Variant[]
  events?: readonly Variant[]
  errors?: readonly Variant[]
  constants?: readonly { name: string; type: TypeId; value: Uint8Array }[]
}

/** Where opentensor/subtensor's runtime has the commitments pallet (runtime/src/lib.rs:1622, 14bc6f9). */
export const COMMITMENTS_INDEX = 18

const names = (...list: string[]): Variant[] => list.map(name => ({ name }))
const u16le = (value: number) => new Uint8Array([value & 0xff, value >> 8])
const u32le = (value: number) => new Uint8Array(new Uint32Array([value]).buffer)

/** Every pallet but System, whose events need all others' first. */
export function pallets(table: TypeTable, c: CommonTypes, commitmentsIndex: number): Pallet[] {
  return [timestamp(c), subtensor(table, c), commitments(table, c, commitmentsIndex), drand(table, c)]
}

export function system(table: TypeTable, c: CommonTypes, event: TypeId): Pallet {
  const record = table.composite(
    'frame_system::EventRecord',
    [
      ['phase', c.phase],
      ['event', event],
      ['topics', table.sequence(c.hash)],
    ],
    { E: event, T: c.hash },
  )
  const balance = table.composite('pallet_balances::types::AccountData', [
    ['free', c.u64],
    ['reserved', c.u64],
    ['frozen', c.u64],
    ['flags', c.u128],
  ])
  const account = table.composite('frame_system::AccountInfo', [
    ['nonce', c.u32],
    ['consumers', c.u32],
    ['providers', c.u32],
    ['sufficients', c.u32],
    ['data', balance],
  ])
  return {
    name: 'System',
    index: 0,
    storage: [
      { name: 'Account', keys: [['Blake2_128Concat', c.accountId]], value: account, zeros: 56 },
      { name: 'Number', value: c.u32, zeros: 4 },
      { name: 'ParentHash', value: c.hash, zeros: 32 },
      { name: 'Events', value: table.sequence(record), zeros: 1 },
    ],
    events: systemEvents(c),
    constants: [
      { name: 'BlockHashCount', type: c.u32, value: u32le(2400) },
      { name: 'SS58Prefix', type: c.u16, value: u16le(42) },
    ],
  }
}

export function systemEvents(c: CommonTypes): Variant[] {
  return [
    { name: 'ExtrinsicSuccess', fields: [['dispatch_info', c.dispatchInfo]] },
    {
      name: 'ExtrinsicFailed',
      fields: [
        ['dispatch_error', c.dispatchError],
        ['dispatch_info', c.dispatchInfo],
      ],
    },
    ...names('CodeUpdated'),
  ]
}

function timestamp(c: CommonTypes): Pallet {
  return { name: 'Timestamp', index: 2, storage: [{ name: 'Now', value: c.u64, zeros: 8 }] }
}

function subtensor(table: TypeTable, c: CommonTypes): Pallet {
  const netuid = ['Identity', c.u16] as const
  const uid = ['Identity', c.u16] as const
  const account = ['Blake2_128Concat', c.accountId] as const
  return {
    name: 'SubtensorModule',
    index: 7,
    storage: [
      { name: 'NetworksAdded', keys: [netuid], value: c.bool, zeros: 1 },
      { name: 'SubnetworkN', keys: [netuid], value: c.u16, zeros: 2 },
      { name: 'MaxAllowedUids', keys: [netuid], value: c.u16, zeros: 2 },
      { name: 'Tempo', keys: [netuid], value: c.u16, zeros: 2 },
      { name: 'Uids', keys: [netuid, account], value: c.u16 },
      { name: 'Keys', keys: [netuid, uid], value: c.accountId, zeros: 32 },
      { name: 'BlockAtRegistration', keys: [netuid, uid], value: c.u64, zeros: 8 },
      { name: 'IsNetworkMember', keys: [account, netuid], value: c.bool, zeros: 1 },
      { name: 'Owner', keys: [account], value: c.accountId, zeros: 32 },
      { name: 'ValidatorPermit', keys: [netuid], value: table.sequence(c.bool), zeros: 1 },
      { name: 'LastUpdate', keys: [netuid], value: table.sequence(c.u64), zeros: 1 },
      { name: 'Incentive', keys: [netuid], value: table.sequence(c.u16), zeros: 1 },
    ],
  }
}

function commitments(table: TypeTable, c: CommonTypes, index: number): Pallet {
  const key = [
    ['Identity', c.u16],
    ['Twox64Concat', c.accountId],
  ] as const
  const hash = table.array(32, c.u8)
  const data = table.variant('pallet_commitments::types::Data', [
    { name: 'None' },
    ...Array.from({ length: 129 }, (_, bytes) => ({ name: `Raw${bytes}`, fields: [table.array(bytes, c.u8)] })),
    ...['BlakeTwo256', 'Sha256', 'Keccak256', 'ShaThree256'].map(name => ({ name, fields: [hash] })),
    {
      name: 'TimelockEncrypted',
      fields: [
        ['encrypted', c.bytes],
        ['reveal_round', c.u64],
      ],
    },
    { name: 'ResetBondsFlag' },
    { name: 'BigRaw', fields: [c.bytes] },
  ])
  const info = table.composite('pallet_commitments::types::CommitmentInfo', [['fields', table.sequence(data)]])
  const registration = table.composite('pallet_commitments::types::Registration', [
    ['deposit', c.u64],
    ['block', c.u32],
    ['info', info],
  ])
  const usage = table.composite('pallet_commitments::types::UsageTracker', [
    ['last_epoch', c.u64],
    ['used_space', c.u64],
  ])
  return {
    name: 'Commitments',
    index,
    storage: [
      { name: 'CommitmentOf', keys: key, value: registration },
      { name: 'LastCommitment', keys: key, value: c.u32 },
      { name: 'UsedSpaceOf', keys: key, value: usage },
      { name: 'MaxSpace', value: c.u32, zeros: 4 },
    ],
    calls: [
      {
        name: 'set_commitment',
        fields: [
          ['netuid', c.u16],
          ['info', info],
        ],
      },
    ],
    events: [
      {
        name: 'Commitment',
        fields: [
          ['netuid', c.u16],
          ['who', c.accountId],
        ],
      },
    ],
    errors: names('TooManyFieldsInCommitmentInfo', 'AccountNotAllowedCommit', 'SpaceLimitExceeded'),
    constants: [{ name: 'MaxFields', type: c.u32, value: u32le(3) }],
  }
}

function drand(table: TypeTable, c: CommonTypes): Pallet {
  const pulse = table.composite('pallet_drand::types::Pulse', [
    ['round', c.u64],
    ['randomness', c.bytes],
    ['signature', c.bytes],
  ])
  return {
    name: 'Drand',
    index: 26,
    storage: [
      { name: 'LastStoredRound', value: c.u64, zeros: 8 },
      { name: 'Pulses', keys: [['Blake2_128Concat', c.u64]], value: pulse },
    ],
  }
}

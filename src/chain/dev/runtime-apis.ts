import type { CommonTypes } from './common-types.js'
import type { TypeId, TypeTable } from './type-table.js'

export interface RuntimeApi {
  name: string
  methods: { name: string; inputs: (readonly [name: string, type: TypeId])[]; output: TypeId }[]
}

/**
 * The runtime APIs a miner asks, with the field names of opentensor/subtensor (pallets/subtensor/src/rpc_info, 14bc6f9).
 * NeuronInfoLite leaves out axon and prometheus, Metagraph all but a miner's fields: readers go by name.
 */
export function runtimeApis(table: TypeTable, c: CommonTypes): RuntimeApi[] {
  const [cu16, cu64] = [table.compact(c.u16), table.compact(c.u64)]
  const text = table.sequence(table.compact(c.u8))
  const neuron = table.composite('pallet_subtensor::rpc_info::neuron_info::NeuronInfoLite', [
    ['hotkey', c.accountId],
    ['coldkey', c.accountId],
    ['uid', cu16],
    ['netuid', cu16],
    ['active', c.bool],
    ['stake', table.sequence(table.tuple([c.accountId, cu64]))],
    ['rank', cu16],
    ['emission', cu64],
    ['incentive', cu16],
    ['consensus', cu16],
    ['trust', cu16],
    ['validator_trust', cu16],
    ['dividends', cu16],
    ['last_update', cu64],
    ['validator_permit', c.bool],
    ['pruning_score', cu16],
  ])
  const metagraph = table.composite('pallet_subtensor::rpc_info::metagraph::Metagraph', [
    ['netuid', cu16],
    ['name', text],
    ['symbol', text],
    ['owner_hotkey', c.accountId],
    ['owner_coldkey', c.accountId],
    ['block', cu64],
    ['tempo', cu16],
    ['num_uids', cu16],
    ['max_uids', cu16],
    ['registration_allowed', c.bool],
    ['hotkeys', table.sequence(c.accountId)],
    ['coldkeys', table.sequence(c.accountId)],
    ['active', table.sequence(c.bool)],
    ['validator_permit', table.sequence(c.bool)],
    ['last_update', table.sequence(cu64)],
    ['incentives', table.sequence(cu16)],
    ['block_at_registration', table.sequence(cu64)],
  ])
  const netuid = ['netuid', c.u16] as const
  return [
    {
      name: 'AccountNonceApi',
      methods: [{ name: 'account_nonce', inputs: [['account', c.accountId]], output: c.u32 }],
    },
    {
      name: 'NeuronInfoRuntimeApi',
      methods: [{ name: 'get_neurons_lite', inputs: [netuid], output: table.sequence(neuron) }],
    },
    {
      name: 'SubnetInfoRuntimeApi',
      methods: [{ name: 'get_metagraph', inputs: [netuid], output: table.option(metagraph) }],
    },
  ]
}

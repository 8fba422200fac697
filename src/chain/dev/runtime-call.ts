import { compactToU8a, hexToU8a, u8aConcat, u8aToHex } from '@polkadot/util'
import { nonceIn } from './execute.js'
import { RpcError } from './rpc-error.js'
import type { Runtime } from './runtime.js'
import type { State } from './state.js'
import { type Neuron, neurons } from './subnet.js'

export interface CallContext {
  runtime: Runtime
  state: State
  /** The subnet that exists here. */
  netuid: number
  block: number
}

/** Answers `state_call`: the runtime APIs of runtime-apis.ts and those that clients need at the start. */
export function runtimeCall(context: CallContext, name: string, data: Uint8Array): string {
  const { runtime, state } = context
  switch (name) {
    case 'Metadata_metadata_versions':
      return u8aToHex(runtime.registry.createType('Vec<u32>', [runtime.metadataVersion]).toU8a())
    case 'Metadata_metadata_at_version':
      return u32(data) === runtime.metadataVersion ? someBytes(hexToU8a(runtime.metadata)) : '0x00'
    case 'AccountNonceApi_account_nonce':
      return u8aToHex(runtime.registry.createType('u32', nonceIn(runtime, state, u8aToHex(data))).toU8a())
    case 'NeuronInfoRuntimeApi_get_neurons_lite':
      return runtime.api('NeuronInfoRuntimeApi', 'get_neurons_lite', neuronsLite(context, u16(data)))
    case 'SubnetInfoRuntimeApi_get_metagraph':
      return runtime.api('SubnetInfoRuntimeApi', 'get_metagraph', metagraph(context, u16(data)))
    default:
      throw new RpcError(-32000, `Client error: the dev chain has no runtime API ${name}`)
  }
}

function neuronsLite({ runtime, state, block }: CallContext, netuid: number): object[] {
  return neurons(runtime, state, netuid).map(({ uid, hotkey, coldkey }) => ({
    uid,
    netuid,
    hotkey,
    coldkey,
    active: true,
    stake: [[coldkey, 0]],
    lastUpdate: block,
  }))
}

function metagraph(context: CallContext, netuid: number): object | null {
  if (netuid !== context.netuid) return null
  const all = neurons(context.runtime, context.state, netuid)
  const [owner] = all
  const each = <T>(value: (neuron: Neuron) => T) => all.map(value)
  return {
    netuid,
    name: [...Buffer.from('grail dev')],
    symbol: [...Buffer.from('dev')],
    block: context.block,
    tempo: 360,
    numUids: all.length,
    maxUids: 256,
    registrationAllowed: true,
    hotkeys: each(neuron => neuron.hotkey),
    coldkeys: each(neuron => neuron.coldkey),
    active: each(() => true),
    validatorPermit: each(() => false),
    lastUpdate: each(() => context.block),
    incentives: each(() => 0),
    blockAtRegistration: each(() => 0),
    ...(owner ? { ownerHotkey: owner.hotkey, ownerColdkey: owner.coldkey } : {}),
  }
}

const u16 = (data: Uint8Array): number => new DataView(data.buffer, data.byteOffset).getUint16(0, true)
const u32 = (data: Uint8Array): number => new DataView(data.buffer, data.byteOffset).getUint32(0, true)

/** `Some` of an opaque blob. */
function someBytes(bytes: Uint8Array): string {
  return u8aToHex(u8aConcat(new Uint8Array([1]), compactToU8a(bytes.length), bytes))
}

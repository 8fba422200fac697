import { createHash } from 'node:crypto'
import { compactToU8a, u8aConcat } from '@polkadot/util'
import { drandRound } from '../../protocol/drand.js'
import { encodedVec, type Intervention } from './block.js'
import type { Extrinsic } from './extrinsic.js'
import type { Runtime } from './runtime.js'
import type { State } from './state.js'
import { setCommitment } from './subnet.js'

/** Older pulses are forgotten: a miner asks for the newest only. */
const PULSES_KEPT = 8

export interface Inputs {
  /** Rules of the parent's state. */
  runtime: Runtime
  parentState: State
  parentHash: string
  number: number
  timestampMs: number
  interventions: readonly Intervention[]
  extrinsics: readonly Extrinsic[]
}

/** The storage after a block, and the rules from then on. `parentState` is left as it is. */
export function execute(inputs: Inputs): { state: State; runtime: Runtime } {
  const { runtime, number } = inputs
  const state: State = new Map(inputs.parentState)
  const put = (pallet: string, entry: string, args: unknown[], value: unknown) =>
    state.set(runtime.key(pallet, entry, ...args), runtime.encode(pallet, entry, value))
  put('timestamp', 'now', [], inputs.timestampMs)
  put('system', 'number', [], number)
  put('system', 'parentHash', [], inputs.parentHash)
  addPulse(runtime, state, inputs.timestampMs)
  const upgrades = inputs.interventions.flatMap(intervene => intervene({ runtime, state, number }) ?? [])
  const events = inputs.extrinsics.flatMap((extrinsic, index) => {
    put('system', 'account', [extrinsic.signer], { nonce: extrinsic.nonce + 1 })
    return dispatch(runtime, state, number, extrinsic).map(event => record(index, event))
  })
  state.set(runtime.key('system', 'events'), encodedVec(events))
  return { state, runtime: upgrades.at(-1) ?? runtime }
}

/** Next nonce of an account, 32 bytes as hex. */
export function nonceIn(runtime: Runtime, state: State, account: string): number {
  const stored = state.get(runtime.key('system', 'account', account))
  return stored === undefined
    ? 0
    : Number((runtime.decode('system', 'account', stored).toJSON() as Record<string, unknown>).nonce)
}

function dispatch(runtime: Runtime, state: State, number: number, { call, signer }: Extrinsic): Uint8Array[] {
  const info = { weight: { refTime: 1_000, proofSize: 1_000 }, class: 'Normal', paysFee: 'No' }
  const refused = setCommitment(runtime, state, { ...call, hotkey: signer, block: number })
  if (refused) {
    return [runtime.event('system', 'ExtrinsicFailed', [runtime.moduleError('commitments', refused), info])]
  }
  return [
    runtime.event('commitments', 'Commitment', [call.netuid, signer]),
    runtime.event('system', 'ExtrinsicSuccess', [info]),
  ]
}

/** EventRecord: phase ApplyExtrinsic(index), the event, no topics. */
function record(index: number, event: Uint8Array): Uint8Array {
  const phase = new Uint8Array(5)
  new DataView(phase.buffer).setUint32(1, index, true)
  return u8aConcat(phase, event, compactToU8a(0))
}

/** Signatures are made up, but randomness follows from them as on the real chain: sha256(signature). */
function addPulse(runtime: Runtime, state: State, timestampMs: number): void {
  const round = drandRound(timestampMs / 1000)
  if (round < 1) return
  const key = runtime.key('drand', 'pulses', round)
  if (state.has(key)) return
  const half = createHash('sha256').update(`dev pulse ${round}`).digest()
  const signature = Buffer.concat([half, half.subarray(0, 16)])
  const randomness = createHash('sha256').update(signature).digest()
  const hex = (bytes: Buffer) => `0x${bytes.toString('hex')}`
  state.set(key, runtime.encode('drand', 'pulses', { round, randomness: hex(randomness), signature: hex(signature) }))
  state.set(runtime.key('drand', 'lastStoredRound'), runtime.encode('drand', 'lastStoredRound', round))
  const pulses = [...state.keys()].filter(other => other.startsWith(runtime.prefix('drand', 'pulses')))
  // insertion order is age
  for (const old of pulses.slice(0, -PULSES_KEPT)) state.delete(old)
}

import type { Runtime } from './runtime.js'
import type { State } from './state.js'

/** Uids of a subnet before old neurons are replaced (subtensor's MaxAllowedUids; the real subnet 81 has as many). */
const MAX_UIDS = 256

/** Blocks of an epoch: subtensor's Tempo 360 plus one. */
const EPOCH_BLOCKS = 361

/** Bytes of commitments per hotkey and epoch: subtensor's MaxSpace. */
const MAX_SPACE = 3_100

/** Smallest charge of one commitment, bytes (pallets/commitments/src/lib.rs, 14bc6f9). */
const MIN_CHARGE = 100

/** Fields of one commitment: subtensor's MaxFields. */
const MAX_FIELDS = 3

export interface Neuron {
  uid: number
  /** 32 bytes as hex with 0x */
  hotkey: string
  coldkey: string
}

/** Writes an empty subnet into the state. */
export function createSubnet(runtime: Runtime, state: State, netuid: number): void {
  const put = putter(runtime, state)
  put('subtensorModule', 'networksAdded', [netuid], true)
  put('subtensorModule', 'maxAllowedUids', [netuid], MAX_UIDS)
  put('subtensorModule', 'tempo', [netuid], EPOCH_BLOCKS - 1)
  put('subtensorModule', 'subnetworkN', [netuid], 0)
  put('commitments', 'maxSpace', [], MAX_SPACE)
}

/** Gives the hotkey the next free uid, or its old one. Throws when the subnet is full. */
export function register(
  runtime: Runtime,
  state: State,
  netuid: number,
  block: number,
  { hotkey, coldkey }: { hotkey: string; coldkey: string },
): number {
  const put = putter(runtime, state)
  const known = uidOf(runtime, state, netuid, hotkey)
  if (known !== undefined) return known
  const taken = new Set(neurons(runtime, state, netuid).map(neuron => neuron.uid))
  let uid = 0
  while (taken.has(uid)) uid++
  if (uid >= MAX_UIDS) throw new Error(`subnet ${netuid} has no free uid of ${MAX_UIDS}`)
  put('subtensorModule', 'uids', [netuid, hotkey], uid)
  put('subtensorModule', 'keys', [netuid, uid], hotkey)
  put('subtensorModule', 'blockAtRegistration', [netuid, uid], block)
  put('subtensorModule', 'isNetworkMember', [hotkey, netuid], true)
  put('subtensorModule', 'owner', [hotkey], coldkey)
  const count = Math.max(uid + 1, subnetSize(runtime, state, netuid))
  put('subtensorModule', 'subnetworkN', [netuid], count)
  const perUid = <T>(value: T): T[] => Array.from({ length: count }, () => value)
  put('subtensorModule', 'validatorPermit', [netuid], perUid(false))
  put('subtensorModule', 'lastUpdate', [netuid], perUid(block))
  put('subtensorModule', 'incentive', [netuid], perUid(0))
  return uid
}

/** Takes the hotkey's uid away, as a newer registration would; its commitment stays, as on the real chain. */
export function deregister(runtime: Runtime, state: State, netuid: number, hotkey: string): void {
  const uid = uidOf(runtime, state, netuid, hotkey)
  if (uid === undefined) return
  state.delete(runtime.key('subtensorModule', 'uids', netuid, hotkey))
  state.delete(runtime.key('subtensorModule', 'keys', netuid, uid))
  state.delete(runtime.key('subtensorModule', 'blockAtRegistration', netuid, uid))
  state.delete(runtime.key('subtensorModule', 'isNetworkMember', hotkey, netuid))
}

export function uidOf(runtime: Runtime, state: State, netuid: number, hotkey: string): number | undefined {
  const value = state.get(runtime.key('subtensorModule', 'uids', netuid, hotkey))
  return value === undefined ? undefined : Number(runtime.decode('subtensorModule', 'uids', value).toString())
}

/** All registered hotkeys, by uid. */
export function neurons(runtime: Runtime, state: State, netuid: number): Neuron[] {
  const found: Neuron[] = []
  for (let uid = 0; uid < subnetSize(runtime, state, netuid); uid++) {
    const hotkey = state.get(runtime.key('subtensorModule', 'keys', netuid, uid))
    if (hotkey === undefined) continue
    found.push({ uid, hotkey, coldkey: state.get(runtime.key('subtensorModule', 'owner', hotkey)) ?? hotkey })
  }
  return found
}

function subnetSize(runtime: Runtime, state: State, netuid: number): number {
  const value = state.get(runtime.key('subtensorModule', 'subnetworkN', netuid))
  return value === undefined ? 0 : Number(runtime.decode('subtensorModule', 'subnetworkN', value).toString())
}

/** Why a commitment was refused: names of the pallet's errors. */
export type CommitError = 'TooManyFieldsInCommitmentInfo' | 'AccountNotAllowedCommit' | 'SpaceLimitExceeded'

/**
 * `set_commitment` with the rules of pallets/commitments/src/lib.rs (14bc6f9): registered hotkeys only, and no more than
 * MaxSpace bytes per epoch. Changes nothing when it refuses.
 * @param info CommitmentInfo, as decoded from the call or as JSON
 * @param bytes summed length of its fields
 */
export function setCommitment(
  runtime: Runtime,
  state: State,
  { netuid, hotkey, block, info, bytes, fields }: Commitment,
): CommitError | undefined {
  if (uidOf(runtime, state, netuid, hotkey) === undefined) return 'AccountNotAllowedCommit'
  if (fields > MAX_FIELDS) return 'TooManyFieldsInCommitmentInfo'
  const epoch = Math.floor((block + netuid + 1) / EPOCH_BLOCKS)
  const stored = state.get(runtime.key('commitments', 'usedSpaceOf', netuid, hotkey))
  const usage = stored && (runtime.decode('commitments', 'usedSpaceOf', stored).toJSON() as Record<string, number>)
  const used = usage && usage.lastEpoch === epoch ? Number(usage.usedSpace) : 0
  const charge = Math.max(MIN_CHARGE, bytes)
  if (used + charge > MAX_SPACE) return 'SpaceLimitExceeded'
  const put = putter(runtime, state)
  put('commitments', 'usedSpaceOf', [netuid, hotkey], { lastEpoch: epoch, usedSpace: used + charge })
  put('commitments', 'commitmentOf', [netuid, hotkey], { deposit: 0, block, info })
  put('commitments', 'lastCommitment', [netuid, hotkey], block)
  return undefined
}

export interface Commitment {
  netuid: number
  hotkey: string
  block: number
  info: unknown
  bytes: number
  fields: number
}

function putter(runtime: Runtime, state: State) {
  return (pallet: string, entry: string, args: readonly unknown[], value: unknown): void => {
    state.set(runtime.key(pallet, entry, ...args), runtime.encode(pallet, entry, value))
  }
}

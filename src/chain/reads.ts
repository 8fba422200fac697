import type { Enum, Option, Struct, Vec } from '@polkadot/types'
import type { Codec } from '@polkadot/types/types'
import { hexToU8a } from '@polkadot/util'
import * as z from 'zod'
import { ChainError } from './chain-error.js'
import type { Link } from './link.js'
import { callRuntime, readStorage } from './storage.js'

/** Where and until when to read. */
export interface ReadOptions {
  signal: AbortSignal
  /** Hash of the block; the best one when absent. */
  at?: string | undefined
}

/** uid of a hotkey on the subnet; undefined when it is not registered. The test the runtime itself makes before it takes a commitment. */
export async function readUid(
  link: Link,
  netuid: number,
  ss58: string,
  options: ReadOptions,
): Promise<number | undefined> {
  const uid = await readStorage(link, 'subtensorModule.uids', [netuid, ss58], options)
  return uid === undefined ? undefined : Number(uid.toString())
}

/** ss58 address of the hotkey that has the uid; undefined when nobody has. GRAIL's trainer is uid 0. */
export async function readHotkey(
  link: Link,
  netuid: number,
  uid: number,
  options: ReadOptions,
): Promise<string | undefined> {
  return (await readStorage(link, 'subtensorModule.keys', [netuid, uid], options))?.toString()
}

/** A hotkey's commitment as it lies on chain. */
export interface OnChainCommitment {
  /** Block it was made in. */
  block: number
  /** Bytes of the first field when that is a Raw one; undefined for anything else. Readers take no other field. */
  bytes: Uint8Array | undefined
}

export async function readCommitment(
  link: Link,
  netuid: number,
  ss58: string,
  options: ReadOptions,
): Promise<OnChainCommitment | undefined> {
  const stored = (await readStorage(link, 'commitments.commitmentOf', [netuid, ss58], options)) as Struct | undefined
  if (stored === undefined) return undefined
  const fields = (stored.get('info') as Struct).get('fields') as Vec<Enum>
  const first = fields[0]
  const bytes = first && /^Raw\d+$/.test(first.type) ? first.value.toU8a(true) : undefined
  return { block: Number(stored.get('block')?.toString()), bytes }
}

/** Bytes of commitments the hotkey may still make in this epoch, by the runtime's count; undefined when the runtime keeps none. */
export async function readUsedSpace(
  link: Link,
  netuid: number,
  ss58: string,
  options: ReadOptions,
): Promise<{ used: number; max: number } | undefined> {
  const max = await readStorage(link, 'commitments.maxSpace', [], options)
  const usage = (await readStorage(link, 'commitments.usedSpaceOf', [netuid, ss58], options)) as Struct | undefined
  if (max === undefined) return undefined
  return { used: Number(usage?.get('usedSpace')?.toString() ?? 0), max: Number(max.toString()) }
}

/** One row of the subnet. */
export interface Neuron {
  uid: number
  hotkey: string
  coldkey: string
  active: boolean
  validatorPermit: boolean
  /** Share of the subnet's incentive, 0…1. */
  incentive: number
  /** Alpha, in rao. */
  stake: bigint
  /** Block of its last update. */
  lastUpdate: number
}

const U16_MAX = 65_535
const count = z.coerce.number()
const rao = z.union([z.number(), z.string()]).transform(value => BigInt(value))

const NeuronJson = z.looseObject({
  uid: count,
  hotkey: z.string(),
  coldkey: z.string(),
  active: z.boolean(),
  validatorPermit: z.boolean(),
  incentive: count,
  stake: z.array(z.tuple([z.string(), rao])),
  lastUpdate: count,
})

/** All neurons of a subnet by uid (NeuronInfoRuntimeApi.get_neurons_lite). */
export async function readNeurons(link: Link, netuid: number, signal: AbortSignal): Promise<Neuron[]> {
  const answer = await callRuntime(link, 'NeuronInfoRuntimeApi', 'get_neurons_lite', netuid, signal)
  return parsed(z.array(NeuronJson), answer, 'neurons').map(neuron => ({
    uid: neuron.uid,
    hotkey: neuron.hotkey,
    coldkey: neuron.coldkey,
    active: neuron.active,
    validatorPermit: neuron.validatorPermit,
    incentive: neuron.incentive / U16_MAX,
    stake: neuron.stake.reduce((sum, [, amount]) => sum + amount, 0n),
    lastUpdate: neuron.lastUpdate,
  }))
}

/** A subnet as a whole. */
export interface Metagraph {
  netuid: number
  block: number
  /** Blocks per epoch, less one. */
  tempo: number
  neurons: number
  maxNeurons: number
  registrationAllowed: boolean
  /** ss58 addresses by uid. */
  hotkeys: string[]
}

const MetagraphJson = z.looseObject({
  netuid: count,
  block: count,
  tempo: count,
  numUids: count,
  maxUids: count,
  registrationAllowed: z.boolean(),
  hotkeys: z.array(z.string()),
})

/** The subnet (SubnetInfoRuntimeApi.get_metagraph); undefined when there is none of this number. */
export async function readMetagraph(link: Link, netuid: number, signal: AbortSignal): Promise<Metagraph | undefined> {
  const answer = (await callRuntime(link, 'SubnetInfoRuntimeApi', 'get_metagraph', netuid, signal)) as Option<Codec>
  if (answer.isNone) return undefined
  const { numUids, maxUids, ...rest } = parsed(MetagraphJson, answer.unwrap(), 'metagraph')
  const { block, tempo, registrationAllowed, hotkeys } = rest
  return { netuid: rest.netuid, block, tempo, neurons: numUids, maxNeurons: maxUids, registrationAllowed, hotkeys }
}

/** A drand pulse as the chain stores it, hex without 0x. */
export interface Pulse {
  round: number
  randomness: string
  signature: string
}

/** The newest drand pulse on chain; undefined when there is none. */
export async function readLatestPulse(link: Link, options: ReadOptions): Promise<Pulse | undefined> {
  const round = await readStorage(link, 'drand.lastStoredRound', [], options)
  if (round === undefined) return undefined
  const pulse = (await readStorage(link, 'drand.pulses', [round.toString()], options)) as Struct | undefined
  if (pulse === undefined) return undefined
  const bytes = (name: string) => Buffer.from(hexToU8a(pulse.get(name)?.toHex() ?? '0x')).toString('hex')
  return { round: Number(round.toString()), randomness: bytes('randomness'), signature: bytes('signature') }
}

function parsed<T>(schema: z.ZodType<T>, answer: Codec, what: string): T {
  const result = schema.safeParse(answer.toPrimitive())
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new ChainError(
    'rpc',
    `the runtime's ${what} have another shape: ${issue?.path.join('.')} ${issue?.message}`,
    'never',
  )
}

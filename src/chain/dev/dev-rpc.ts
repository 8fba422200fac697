import { u8aToHex } from '@polkadot/util'
import { decodeAddress } from '@polkadot/util-crypto/address'
import * as z from 'zod'
import { type Authority, nobody } from './authority.js'
import type { Intervention } from './block.js'
import { devMetadata } from './metadata.js'
import type { Method } from './node-rpc.js'
import { COMMITMENTS_INDEX } from './pallets.js'
import { readRuntime } from './runtime.js'
import { deregister, register, setCommitment } from './subnet.js'

/** Public key of an ss58 address as hex. Throws when it is none. */
export function accountOf(ss58: string): string {
  return u8aToHex(decodeAddress(ss58, false, 42))
}

export function registration(netuid: number, ss58: string, coldkey?: string): Intervention {
  const hotkey = accountOf(ss58)
  const owner = coldkey === undefined ? nobody(`coldkey of ${ss58}`) : accountOf(coldkey)
  return ({ runtime, state, number }) => {
    register(runtime, state, netuid, number, { hotkey, coldkey: owner })
    return undefined
  }
}

export function deregistration(netuid: number, ss58: string): Intervention {
  const hotkey = accountOf(ss58)
  return ({ runtime, state }) => {
    deregister(runtime, state, netuid, hotkey)
    return undefined
  }
}

/** Puts a text on chain as the hotkey's commitment, without its signature: a trainer's bucket, for instance. */
export function commitment(netuid: number, ss58: string, text: string): Intervention {
  const hotkey = accountOf(ss58)
  const bytes = Buffer.from(text)
  return ({ runtime, state, number }) => {
    const info = { fields: [{ [`Raw${bytes.length}`]: u8aToHex(bytes) }] }
    const refused = setCommitment(runtime, state, {
      netuid,
      hotkey,
      block: number,
      info,
      bytes: bytes.length,
      fields: 1,
    })
    if (refused) throw new Error(`the commitment of ${ss58} was refused: ${refused}`)
    return undefined
  }
}

/** A runtime of a newer spec version. Of the dev chain's own runtime it also moves the commitments pallet, so that clients with fixed indices fail. */
export function upgrade(ownMetadata: boolean, specVersion?: number): Intervention {
  return ({ runtime }) => {
    const next = specVersion ?? runtime.specVersion + 1
    const bytes = ownMetadata ? devMetadata(COMMITMENTS_INDEX + 1) : Buffer.from(runtime.metadata.slice(2), 'hex')
    return readRuntime(bytes, next)
  }
}

export interface DevContext {
  authority: Authority
  netuid: number
  ownMetadata: boolean
  /** Stops answering on every connection but the caller's, without closing it. */
  silenceOthers(session: unknown): void
}

const Count = z.number().int().positive()
const Text = z.string()

/** What only a dev chain can: every control that `grail devchain` has, while it runs. What changes the state does so in the next block. */
export function devMethods({ authority, netuid, ownMetadata, silenceOthers }: DevContext): Record<string, Method> {
  const next = (intervention: Intervention): number => {
    authority.intervene(intervention)
    return authority.ledger.best().number + 1
  }
  return {
    dev_newBlock: ([count]) => authority.newBlock(Count.optional().parse(count)).hash,
    dev_reorg: ([depth]) => authority.reorg(Count.parse(depth)).hash,
    dev_stall: ([on]) => authority.stall(z.boolean().parse(on)) ?? null,
    dev_silence: (_params, session) => silenceOthers(session) ?? null,
    dev_setBlockTime: ([ms]) => authority.setBlockTime(z.number().nonnegative().parse(ms)) ?? null,
    dev_setFinalityLag: ([blocks]) =>
      authority.ledger.setFinalityLag(z.number().int().nonnegative().parse(blocks)) ?? null,
    dev_announceEvery: ([blocks]) => authority.announceEvery(Count.parse(blocks)) ?? null,
    dev_register: ([ss58, coldkey]) => next(registration(netuid, Text.parse(ss58), Text.optional().parse(coldkey))),
    dev_deregister: ([ss58]) => next(deregistration(netuid, Text.parse(ss58))),
    dev_commit: ([ss58, text]) => next(commitment(netuid, Text.parse(ss58), Text.max(128).parse(text))),
    dev_upgrade: ([specVersion]) => next(upgrade(ownMetadata, Count.optional().parse(specVersion))),
  }
}

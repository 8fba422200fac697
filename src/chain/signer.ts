import type { IKeyringPair } from '@polkadot/types/types'
import { u8aConcat } from '@polkadot/util'

/** Whoever signs: the fleet's hotkey. */
export interface Signer {
  readonly ss58: string
  /** 32 bytes */
  readonly publicKey: Uint8Array
  /** sr25519, 64 bytes */
  sign(message: Uint8Array): Uint8Array
}

/** First byte of a MultiSignature: sr25519. */
const SR25519 = new Uint8Array([1])

/** A signer as polkadot-js wants one; of a key pair it only uses these four. */
export function pairOf(signer: Signer): IKeyringPair {
  const pair = {
    address: signer.ss58,
    addressRaw: signer.publicKey,
    publicKey: signer.publicKey,
    sign: (message: Uint8Array) => u8aConcat(SR25519, signer.sign(message)),
  }
  return pair as unknown as IKeyringPair
}

import { checkAddress, decodeAddress, encodeAddress } from '@polkadot/util-crypto/address'
import * as wasm from '@polkadot/wasm-crypto'
import { sr25519_sign as signFast } from '@polkadot-labs/schnorrkel-wasm'
import type { Hotkey } from './hotkey.js'

// An aggregator signs twice per rollout. Two WebAssembly builds of the same Rust crate, schnorrkel: @polkadot-labs' takes 0.057 ms
// for a signature, @polkadot's 0.10 ms (the JavaScript of @polkadot/util-crypto 14: 0.9 ms). Everything else is @polkadot's, for the faster
// one panics where it should say no: at a signature or a key that is none.

/** Address prefix of Bittensor (and of Substrate in general). */
const SS58_PREFIX = 42

const PUBLIC_KEY_BYTES = 32
const SIGNATURE_BYTES = 64

/** Must be awaited once before anything else in this file is called; compiles the wasm (about 10 ms). */
export async function ready(): Promise<void> {
  await wasm.waitReady()
}

/** An sr25519 key pair. `secret` is in the ed25519-style form that the wasm takes: 32 bytes scalar · 8, 32 bytes nonce. */
export interface KeyPair {
  publicKey: Uint8Array
  secret: Uint8Array
}

/** @param seed 32 bytes (a "mini secret") */
export function keyPairOfSeed(seed: Uint8Array): KeyPair {
  const pair = wasm.sr25519KeypairFromSeed(seed)
  return { secret: pair.slice(0, 64), publicKey: pair.slice(64) }
}

/** sr25519 over the raw message, context `substrate`; 64 bytes, different every time. */
export function sr25519Sign(message: Uint8Array, pair: KeyPair): Uint8Array {
  return wasm.sr25519Sign(pair.publicKey, pair.secret, message)
}

/** Whether `signature` is one of `publicKey` over the raw message, context `substrate`. Garbage of any length is false, never an error. */
export function sr25519Verify(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES || publicKey.length !== PUBLIC_KEY_BYTES) return false
  return wasm.sr25519Verify(signature, message, publicKey)
}

/** The 32 bytes of an ss58 address of prefix 42. Throws a RangeError that names the address when it is not one. */
export function publicKeyOf(ss58: string): Uint8Array {
  const [valid, why] = checkAddress(ss58, SS58_PREFIX)
  if (!valid) throw new RangeError(`'${ss58}' is not an ss58 address of prefix ${SS58_PREFIX}: ${why ?? 'not valid'}`)
  const publicKey = decodeAddress(ss58, false, SS58_PREFIX)
  if (publicKey.length !== PUBLIC_KEY_BYTES) throw new RangeError(`'${ss58}' is not the address of a 32-byte key`)
  return publicKey
}

/** The ss58 address, prefix 42, of a public key of 32 bytes. */
export function ss58Of(publicKey: Uint8Array): string {
  if (publicKey.length !== PUBLIC_KEY_BYTES) throw new RangeError(`a public key has 32 bytes, not ${publicKey.length}`)
  return encodeAddress(publicKey, SS58_PREFIX)
}

/** Closes over the secret: neither inspection nor JSON of the result shows it. */
export function hotkeyOf(pair: KeyPair): Hotkey {
  return {
    ss58: ss58Of(pair.publicKey),
    publicKey: pair.publicKey.slice(),
    sign: message => signFast(pair.publicKey, pair.secret, message),
  }
}

import { checkAddress, decodeAddress, encodeAddress } from '@polkadot/util-crypto/address'
import * as wasm from '@polkadot/wasm-crypto'
import type { Hotkey } from './hotkey.js'
import { type KeyPair, PUBLIC_KEY_BYTES } from './key-pair.js'
import { nativeRistretto, type Ristretto } from './ristretto.js'
import { signerOf } from './schnorr.js'

// An aggregator signs twice per rollout: with libsodium in 0.03 ms, in WebAssembly, where there is none, in 0.13. Everything else is
// WebAssembly's.

/** Address prefix of Bittensor (and of Substrate in general). */
const SS58_PREFIX = 42

const SIGNATURE_BYTES = 64

/** Must be awaited once before anything else in this file is called; compiles the wasm (about 10 ms). */
export async function ready(): Promise<void> {
  await wasm.waitReady()
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

/**
 * Closes over the secret: neither inspection nor JSON of the result shows it.
 * @param ristretto machine code to sign with, or undefined where there is none
 */
export function hotkeyOf(pair: KeyPair, { ristretto } = { ristretto: nativeRistretto() }): Hotkey {
  return {
    ss58: ss58Of(pair.publicKey),
    publicKey: pair.publicKey.slice(),
    sign: (ristretto && checkedSigner(pair, ristretto)) ?? (message => sr25519Sign(message, pair)),
  }
}

/** A window of signatures that do not verify costs fourteen windows: the first one is shown to the other implementation. */
function checkedSigner(pair: KeyPair, ristretto: Ristretto): Hotkey['sign'] | undefined {
  const message = Buffer.from('does this verify?')
  try {
    const sign = signerOf(pair, ristretto)
    return sr25519Verify(message, sign(message), pair.publicKey) ? sign : undefined
  } catch {
    return undefined
  }
}

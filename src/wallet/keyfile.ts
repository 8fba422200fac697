import { bip39ToMiniSecret, bip39Validate } from '@polkadot/wasm-crypto'
import * as z from 'zod'
import type { KeyPair } from './key-pair.js'
import { keyPairOfSeed, publicKeyOf, sr25519Sign, sr25519Verify } from './sr25519.js'
import { WalletError } from './wallet-error.js'

const SEED_BYTES = 32
const PRIVATE_KEY_BYTES = 64

const hex = (bytes: number) =>
  z
    .string()
    .regex(new RegExp(`^(0x)?[0-9a-fA-F]{${bytes * 2}}$`))
    .transform(text => new Uint8Array(Buffer.from(text.replace(/^0x/, ''), 'hex')))

/** The JSON of a bittensor hotkey file: old ones lack privateKey, middle ones hold null, new ones leave absent keys out. */
const Keyfile = z.object({
  ss58Address: z.string(),
  secretSeed: hex(SEED_BYTES).nullish(),
  secretPhrase: z.string().nullish(),
  privateKey: hex(PRIVATE_KEY_BYTES).nullish(),
})

/**
 * The key pair in the (decrypted) text of a bittensor hotkey file, checked against the file's own ss58Address. The seed is
 * preferred, then the phrase, then the private key. Throws WalletError 'broken', 'public-only' or 'mismatch'; no message
 * repeats anything of the text but the address. `ready()` of sr25519.ts must have been awaited.
 * @param remedy command that writes the file anew, for the error
 */
export function keyPairOfKeyfile(text: string, file: string, remedy: string): KeyPair {
  const parsed = Keyfile.safeParse(json(text, file, remedy))
  if (!parsed.success) {
    const fields = [...new Set(parsed.error.issues.map(issue => issue.path.join('.') || 'the whole'))].join(', ')
    throw new WalletError(
      'broken',
      `${file} is not a bittensor hotkey file (wrong: ${fields}): write it anew with ${remedy}`,
    )
  }
  const { ss58Address, secretSeed, secretPhrase, privateKey } = parsed.data
  const expected = addressKey(ss58Address, file, remedy)
  const pair = secretSeed
    ? keyPairOfSeed(secretSeed)
    : secretPhrase
      ? keyPairOfSeed(seedOfPhrase(secretPhrase, file, remedy))
      : privateKey
        ? { publicKey: expected, secret: fromCanonical(privateKey) }
        : undefined
  if (!pair) {
    throw new WalletError(
      'public-only',
      `${file} holds no secret (public key only) and cannot sign: restore it with ${remedy}`,
    )
  }
  if (!belongsTo(pair, expected)) {
    throw new WalletError(
      'mismatch',
      `the secret in ${file} is not that of its ss58Address ${ss58Address}: the file is damaged or edited, restore it with ${remedy}`,
    )
  }
  return pair
}

/** A signature is the one proof that works for all three forms: a bare private key has no public key of its own to compare. */
function belongsTo(pair: KeyPair, publicKey: Uint8Array): boolean {
  const message = new Uint8Array(32)
  return sr25519Verify(message, sr25519Sign(message, pair), publicKey)
}

function json(text: string, file: string, remedy: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own message quotes the text, which may hold the secret.
    throw new WalletError('broken', `${file} is not JSON: write it anew with ${remedy}`)
  }
}

function addressKey(ss58: string, file: string, remedy: string): Uint8Array {
  try {
    return publicKeyOf(ss58)
  } catch {
    throw new WalletError('broken', `the ss58Address in ${file} is not an address: restore the file with ${remedy}`)
  }
}

function seedOfPhrase(phrase: string, file: string, remedy: string): Uint8Array {
  const words = phrase.trim().split(/\s+/).join(' ')
  if (!bip39Validate(words)) {
    throw new WalletError(
      'broken',
      `the secretPhrase in ${file} is not a BIP-39 phrase: restore the file with ${remedy}`,
    )
  }
  return bip39ToMiniSecret(words, '')
}

/**
 * bittensor writes schnorrkel's canonical scalar; the wasm takes the ed25519-style one, which is 8 times it (32 bytes,
 * little endian). The nonce half is the same. Taken as it is, the key would sign without an error and nothing would verify.
 */
function fromCanonical(privateKey: Uint8Array): Uint8Array {
  const secret = privateKey.slice()
  let carry = 0
  for (let i = 0; i < 32; i++) {
    const product = privateKey[i]! * 8 + carry
    secret[i] = product & 0xff
    carry = product >> 8
  }
  return secret
}

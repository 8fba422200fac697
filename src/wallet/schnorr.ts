import { createHash, randomFillSync } from 'node:crypto'
import type { Hotkey } from './hotkey.js'
import { type KeyPair, PUBLIC_KEY_BYTES } from './key-pair.js'
import { Transcript } from './merlin.js'
import type { Ristretto } from './ristretto.js'

// schnorrkel's signatures (w3f/schnorrkel src/context.rs and src/sign.rs, release 0.11.4), context `substrate`.

const bytes = (text: string) => new TextEncoder().encode(text)
const LABEL = {
  message: bytes('sign-bytes'),
  protocol: bytes('proto-name'),
  publicKey: bytes('sign:pk'),
  nonce: bytes('sign:R'),
  challenge: bytes('sign:c'),
}
const PROTOCOL = bytes('Schnorr-sig')

/** What comes before the message in every transcript. */
const CONTEXT = new Transcript({ label: bytes('SigningContext') })
CONTEXT.append(bytes(''), bytes('substrate'))

const SCALAR_BYTES = 32
/** Drawn as twice a scalar's bytes, so that what is left modulo the order is spread evenly. */
const WIDE_BYTES = 64
/** Random bytes of a nonce, and how many nonces' are fetched at once: a system call takes a tenth of a signature. */
const RANDOM_BYTES = 32
const RANDOM_AHEAD = 64
/** In a signature's last byte: it is schnorrkel's, and not an ed25519 one. */
const SCHNORRKEL = 0x80

/**
 * Signs the raw message: 64 bytes, different every time. The nonce is a hash of the key's own half for nonces, of 32 random bytes and of
 * the transcript: it stays secret, and differs between messages, even where randomness repeats itself.
 * @param fill puts random bytes into the whole of what it is given
 * @throws RangeError when the pair's parts have other lengths than a key pair's
 */
export function signerOf(
  pair: KeyPair,
  ristretto: Ristretto,
  fill: (bytes: Uint8Array) => unknown = randomFillSync,
): Hotkey['sign'] {
  if (pair.publicKey.length !== PUBLIC_KEY_BYTES || pair.secret.length !== 2 * SCALAR_BYTES)
    throw new RangeError(`a key pair has ${PUBLIC_KEY_BYTES} and ${2 * SCALAR_BYTES} bytes`)
  const publicKey = pair.publicKey.slice()
  const key = eighthOf(pair.secret.subarray(0, SCALAR_BYTES))
  const nonceSecret = pair.secret.slice(SCALAR_BYTES)
  const random = randomness(fill)
  const nonce = Buffer.alloc(SCALAR_BYTES)
  const product = Buffer.alloc(SCALAR_BYTES)
  return message => {
    const transcript = new Transcript(CONTEXT)
    transcript.append(LABEL.message, message)
    transcript.append(LABEL.protocol, PROTOCOL)
    transcript.append(LABEL.publicKey, publicKey)

    const wide = createHash('sha512').update(nonceSecret).update(random()).update(transcript.state()).digest()
    ristretto.reduce(nonce, wide)

    const signature = new Uint8Array(2 * SCALAR_BYTES)
    const commitment = signature.subarray(0, SCALAR_BYTES)
    const response = signature.subarray(SCALAR_BYTES)
    ristretto.multiplyBase(commitment, nonce)
    transcript.append(LABEL.nonce, commitment)
    ristretto.reduce(product, transcript.challenge(LABEL.challenge, WIDE_BYTES))
    ristretto.multiply(product, product, key)
    ristretto.add(response, product, nonce)
    signature[signature.length - 1] = (signature.at(-1) as number) | SCHNORRKEL
    return signature
  }
}

/** @returns the next random bytes, good until the next call */
function randomness(fill: (bytes: Uint8Array) => unknown): () => Uint8Array {
  const ahead = Buffer.alloc(RANDOM_AHEAD * RANDOM_BYTES)
  let at = ahead.length
  return () => {
    if (at === ahead.length) {
      fill(ahead)
      at = 0
    }
    at += RANDOM_BYTES
    return ahead.subarray(at - RANDOM_BYTES, at)
  }
}

/** A key pair's scalar is kept as 8 times its value, the way ed25519 has it (schnorrkel src/scalars.rs). */
function eighthOf(scalar: Uint8Array): Uint8Array {
  const eighth = new Uint8Array(SCALAR_BYTES)
  for (let i = 0; i < SCALAR_BYTES; i++) {
    eighth[i] = ((scalar[i] as number) >> 3) | (((scalar[i + 1] ?? 0) << 5) & 0xff)
  }
  return eighth
}

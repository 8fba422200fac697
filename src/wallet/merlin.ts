import { createRequire } from 'node:module'

/** keccak-f[1600] on 25 lanes, low word first: keccak's unrolled form takes a third to a quarter of what @noble/hashes' loops take. */
const { p1600: permute } = createRequire(import.meta.url)('keccak/lib/keccak-state-unroll.js') as {
  p1600: (words: Uint32Array) => void
}

// STROBE-128 as merlin uses it (dalek-cryptography/merlin src/strobe.rs and src/transcript.rs, release 3.0.0), without what a
// signature does not need: keys and further draws.

/** Bytes of the 200 that are absorbed between two permutations: what 128 bits of security leave, less two for the padding. */
const RATE = 166
const VERSION = new TextEncoder().encode('STROBEv1.0.2')
const PROTOCOL = new TextEncoder().encode('Merlin v1.0')
const DOMAIN_SEPARATOR = new TextEncoder().encode('dom-sep')

/** Flags of STROBE's operations: what is absorbed is said by the protocol (meta), by the application, or drawn. */
const META_AD = 0x12
const AD = 0x02
const PRF = 0x07
const DRAWS = 0x04

/**
 * A merlin transcript: what two parties know of a proof so far, from which the verifier's challenge is drawn.
 * Everything a caller gives it is public; the time it takes depends on lengths alone.
 */
export class Transcript {
  readonly #words: Uint32Array
  readonly #state: Uint8Array
  #at = 0
  /** Where the operation under way began, as STROBE counts it: 1 is the block's first byte, 0 is a block before. */
  #began = 0

  /** @param from a transcript to go on from, which stays as it is; a new one begins with `label` */
  constructor(from: Transcript | { label: Uint8Array }) {
    if (from instanceof Transcript) {
      this.#words = from.#words.slice()
      this.#state = new Uint8Array(this.#words.buffer)
      this.#at = from.#at
      this.#began = from.#began
      return
    }
    this.#words = new Uint32Array(50)
    this.#state = new Uint8Array(this.#words.buffer)
    this.#state.set([1, RATE + 2, 1, 0, 1, VERSION.length * 8])
    this.#state.set(VERSION, 6)
    permute(this.#words)
    this.#begin(META_AD)
    this.#absorb(PROTOCOL)
    this.append(DOMAIN_SEPARATOR, from.label)
  }

  append(label: Uint8Array, message: Uint8Array): void {
    this.#announce(label, message.length)
    this.#begin(AD)
    this.#absorb(message)
  }

  /** Draws the challenge, which ends the transcript: nothing may be appended or drawn after it. */
  challenge(label: Uint8Array, bytes: number): Uint8Array {
    this.#announce(label, bytes)
    this.#begin(PRF)
    return this.#state.slice(0, bytes)
  }

  /** 200 bytes that depend on everything so far, to derive a nonce from; the next word changes them. */
  state(): Uint8Array {
    return this.#state
  }

  #announce(label: Uint8Array, bytes: number): void {
    this.#begin(META_AD)
    this.#absorb(label)
    this.#absorb([bytes & 0xff, (bytes >>> 8) & 0xff, (bytes >>> 16) & 0xff, bytes >>> 24])
  }

  #begin(flags: number): void {
    const before = this.#began
    this.#began = this.#at + 1
    this.#absorb([before, flags])
    if (flags & DRAWS && this.#at !== 0) this.#permute()
  }

  #absorb(bytes: ArrayLike<number>): void {
    for (let i = 0; i < bytes.length; i++) {
      this.#state[this.#at] = (this.#state[this.#at] as number) ^ (bytes[i] as number)
      if (++this.#at === RATE) this.#permute()
    }
  }

  #permute(): void {
    const state = this.#state
    state[this.#at] = (state[this.#at] as number) ^ this.#began
    state[this.#at + 1] = (state[this.#at + 1] as number) ^ 0x04
    state[RATE + 1] = (state[RATE + 1] as number) ^ 0x80
    permute(this.#words)
    this.#at = 0
    this.#began = 0
  }
}

import { createHash } from 'node:crypto'

/** Words of the generator's state, and the offset of its recurrence (Matsumoto and Nishimura, MT19937). */
const STATE_WORDS = 624
const MIDDLE_WORD = 397

/**
 * The generator of CPython's `random.Random`, bit for bit, for the calls the reference makes (identical for Python
 * 3.10–3.12; Lib/random.py and Modules/_randommodule.c; protocol.md §4.5). Not for secrets.
 *
 * Seeds: bytes and text are read as the big-endian integer of `seed ‖ sha512(seed)` (text as UTF-8 first), integers by
 * their absolute value. Plain numbers must be safe integers: RangeError otherwise.
 */
export class PythonRandom {
  readonly #state = new Uint32Array(STATE_WORDS)
  #next = STATE_WORDS

  constructor(seed: Uint8Array | string | number | bigint) {
    this.#seedByArray(littleEndianWords(seedInteger(seed)))
  }

  /** A uniform integer of `bits` ≥ 0 bits, as Python's getrandbits. */
  getrandbits(bits: number): bigint {
    if (!Number.isInteger(bits) || bits < 0) throw new RangeError(`getrandbits: ${bits} is not a number of bits`)
    let value = 0n
    for (let shift = 0; shift < bits; shift += 32) {
      const missing = bits - shift
      const word = missing < 32 ? this.#word() >>> (32 - missing) : this.#word()
      value |= BigInt(word) << BigInt(shift)
    }
    return value
  }

  /** A uniform integer in [0, n) for a safe integer n ≥ 1 (Python's Random._randbelow: rejection on bit_length(n) bits). */
  randbelow(n: number): number {
    if (!Number.isSafeInteger(n) || n < 1) throw new RangeError(`randbelow: ${n} is not a safe integer of at least 1`)
    const bits = n < 2 ** 32 ? 32 - Math.clz32(n) : n.toString(2).length
    for (;;) {
      const drawn = bits <= 32 ? this.#word() >>> (32 - bits) : Number(this.getrandbits(bits))
      if (drawn < n) return drawn
    }
  }

  /** A double in [0, 1) with 53 random bits. */
  random(): number {
    const high = this.#word() >>> 5
    const low = this.#word() >>> 6
    return (high * 67_108_864 + low) / 9_007_199_254_740_992
  }

  /** A uniform integer in [a, b]. */
  randint(a: number, b: number): number {
    return a + this.randbelow(b - a + 1)
  }

  /** Shuffles in place, from the last element down. */
  shuffle(list: { length: number; [index: number]: unknown }): void {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.randbelow(i + 1)
      const held = list[i]
      list[i] = list[j]
      list[j] = held
    }
  }

  /** `count` distinct elements of `population`, in the order Python's sample() returns them. Throws RangeError when the population is smaller. */
  sample<T>(population: ArrayLike<T>, count: number): T[] {
    return this.sampleRange(population.length, count).map(index => population[index] as T)
  }

  /** sample(range(n), count). */
  sampleRange(n: number, count: number): number[] {
    if (!Number.isInteger(count) || count < 0 || count > n)
      throw new RangeError(`sample: ${count} of ${n} elements is not possible`)
    // Python's estimate of when a set of the chosen costs more than a copy of the population
    let setSize = 21
    if (count > 5) setSize += 4 ** Math.ceil(Math.log(count * 3) / Math.log(4))
    const chosen: number[] = []
    if (n <= setSize) {
      const pool = Array.from({ length: n }, (_, index) => index)
      for (let i = 0; i < count; i++) {
        const j = this.randbelow(n - i)
        chosen.push(pool[j]!)
        pool[j] = pool[n - i - 1]!
      }
      return chosen
    }
    const seen = new Set<number>()
    while (chosen.length < count) {
      const drawn = this.randbelow(n)
      if (seen.has(drawn)) continue
      seen.add(drawn)
      chosen.push(drawn)
    }
    return chosen
  }

  #seedByArray(key: Uint32Array): void {
    const state = this.#state
    state[0] = 19_650_218
    for (let i = 1; i < STATE_WORDS; i++) {
      const before = state[i - 1]! ^ (state[i - 1]! >>> 30)
      state[i] = Math.imul(1_812_433_253, before) + i
    }
    let i = 1
    let j = 0
    for (let left = Math.max(STATE_WORDS, key.length); left > 0; left--) {
      const before = state[i - 1]! ^ (state[i - 1]! >>> 30)
      state[i] = (state[i]! ^ Math.imul(before, 1_664_525)) + key[j]! + j
      i++
      j++
      if (i >= STATE_WORDS) {
        state[0] = state[STATE_WORDS - 1]!
        i = 1
      }
      if (j >= key.length) j = 0
    }
    for (let left = STATE_WORDS - 1; left > 0; left--) {
      const before = state[i - 1]! ^ (state[i - 1]! >>> 30)
      state[i] = (state[i]! ^ Math.imul(before, 1_566_083_941)) - i
      i++
      if (i >= STATE_WORDS) {
        state[0] = state[STATE_WORDS - 1]!
        i = 1
      }
    }
    state[0] = 0x80000000
  }

  #word(): number {
    if (this.#next >= STATE_WORDS) this.#refill()
    let y = this.#state[this.#next++]!
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }

  #refill(): void {
    const state = this.#state
    for (let i = 0; i < STATE_WORDS; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % STATE_WORDS]! & 0x7fffffff)
      state[i] = state[(i + MIDDLE_WORD) % STATE_WORDS]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
    }
    this.#next = 0
  }
}

/** The non-negative integer CPython makes of a seed (random.Random.seed, version 2). */
export function seedInteger(seed: Uint8Array | string | number | bigint): bigint {
  if (typeof seed === 'bigint') return seed < 0n ? -seed : seed
  if (typeof seed === 'number') {
    if (!Number.isSafeInteger(seed)) throw new RangeError(`seed ${seed} is not a safe integer: pass a bigint`)
    return BigInt(Math.abs(seed))
  }
  const bytes = typeof seed === 'string' ? Buffer.from(seed, 'utf8') : seed
  const digest = createHash('sha512').update(bytes).digest('hex')
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}${digest}`)
}

function littleEndianWords(value: bigint): Uint32Array {
  const words: number[] = []
  for (let rest = value; rest > 0n; rest >>= 32n) words.push(Number(rest & 0xffffffffn))
  return Uint32Array.from(words.length > 0 ? words : [0])
}

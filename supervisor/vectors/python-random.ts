import { PythonRandom, seedInteger } from '../../src/protocol/python-random.js'
import { type Check, type Checks, same } from './check.js'
import { fromFloatHex } from './float-hex.js'

function seedOf(recorded: { seed_kind: string; seed_hex?: string; seed?: string }): Uint8Array | string | bigint {
  if (recorded.seed_kind === 'bytes') return Buffer.from(recorded.seed_hex!, 'hex')
  if (recorded.seed_kind === 'int') return BigInt(recorded.seed!)
  if (recorded.seed_kind === 'str') return recorded.seed!
  throw new Error(`unknown seed_kind "${recorded.seed_kind}"`)
}

/** Every recorded list started from a freshly seeded generator. */
const pythonRandom: Check = (file, index) => {
  const { seed_int_hex, ...recorded } = file.cases[index]
  const seed = seedOf(recorded)
  const fresh = () => new PythonRandom(seed)
  const lists: Record<string, (expected: never[]) => unknown> = {
    getrandbits32: expected => {
      const random = fresh()
      return expected.map(() => Number(random.getrandbits(32)))
    },
    getrandbits_mixed: (expected: [number, string][]) => {
      const random = fresh()
      return expected.map(([bits]) => [bits, random.getrandbits(bits).toString()])
    },
    random: expected => {
      const random = fresh()
      return expected.map(() => random.random())
    },
    randbelow: (expected: [number, number][]) => {
      const random = fresh()
      return expected.map(([n]) => [n, random.randbelow(n)])
    },
  }
  const wanted: Record<string, unknown> = {}
  const got: Record<string, unknown> = {}
  if (seed_int_hex !== undefined) {
    wanted.seed_int_hex = seed_int_hex
    got.seed_int_hex = `0x${seedInteger(seed).toString(16)}`
  }
  for (const [name, expected] of Object.entries(recorded)) {
    if (!Array.isArray(expected)) continue
    wanted[name] = name === 'random' ? expected.map(fromFloatHex) : expected
    const of = /^(randint|sample_range|shuffle)_?(\d+)(?:_(\d+))?$/.exec(name)
    if (of?.[1] === 'shuffle') {
      const list = Array.from({ length: Number(of[2]) }, (_, i) => i)
      fresh().shuffle(list)
      got[name] = list
    } else if (of?.[1] === 'sample_range') got[name] = fresh().sampleRange(Number(of[2]), Number(of[3]))
    else if (of?.[1] === 'randint') {
      const random = fresh()
      got[name] = expected.map(() => random.randint(Number(of[2]), Number(of[3])))
    } else got[name] = lists[name]?.(expected as never[]) ?? `no check for the list ${name}`
  }
  return same(got, wanted)
}

/** CPython's generator. */
export const pythonRandomChecks: Checks = { 'python_random.json': pythonRandom }

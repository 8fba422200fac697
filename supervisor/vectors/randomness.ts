import { createHash } from 'node:crypto'
import { DRAND_BASES, DRAND_MAINNET, drandRound, QUICKNET } from '../../src/protocol/drand.js'
import { legacyVector } from '../../src/protocol/legacy-vector.js'
import { prf } from '../../src/protocol/prf.js'
import { challengeRandomness, referenceMinerRandomness } from '../../src/protocol/randomness.js'
import { deriveEnvSeed } from '../../src/protocol/seed.js'
import { type Checks, same } from './check.js'
import { compareOrError } from './expect-error.js'

/** Seeds, hashing and randomness. */
export const randomnessChecks: Checks = {
  'derive_env_seed.json': (file, index) => {
    const c = file.cases[index]
    const problem = c.problem_index_is_bigint_string ? BigInt(c.problem_index) : c.problem_index
    const run = () => deriveEnvSeed(c.hotkey, c.window_hash, problem)
    return compareOrError(c, run, () => same(run(), c.seed))
  },

  'window_randomness.json': (file, index) => {
    const c = file.cases[index]
    const drand: string | undefined = c.use_drand && !c.drand_error ? c.drand_randomness : undefined
    const run = () => (c.fn === 'validator' ? challengeRandomness : referenceMinerRandomness)(c.block_hash, drand)
    return compareOrError(c, run, () => same(run(), c.combined))
  },

  'drand_round.json': (file, index) => {
    const c = file.cases[index]
    const isMainnet = typeof c.chain === 'string' && c.chain.startsWith('mainnet')
    return (
      same(drandRound(c.timestamp, isMainnet ? DRAND_MAINNET : QUICKNET), c.round) ??
      same(DRAND_BASES, file.urls ?? DRAND_BASES) ??
      same(QUICKNET.hash, file.default_chain?.hash ?? QUICKNET.hash)
    )
  },

  'prf.json': (file, index) => {
    const c = file.cases[index]
    const bytes = (hex: string) => Buffer.from(hex, 'hex')
    const run = () => prf(bytes(c.label_hex), c.parts_hex.map(bytes), c.out_bytes)
    return compareOrError(c, run, () => {
      const out = run()
      if (c.hex !== undefined) return same(out.toString('hex'), c.hex)
      return (
        same(createHash('sha256').update(out).digest('hex'), c.sha256_of_output) ??
        same(out.subarray(0, 16).toString('hex'), c.first_16_hex) ??
        same(out.subarray(-16).toString('hex'), c.last_16_hex)
      )
    })
  },

  'r_vec_legacy.json': (file, index) => {
    const c = file.cases[index]
    const run = () => legacyVector(c.rand_hex, c.d_model)
    return compareOrError(c, run, () => {
      const vector = run()
      const bigEndian = Buffer.from(vector.slice().buffer).swap32()
      return (
        same([...vector.subarray(0, 8)], c.first8) ??
        same([...vector.subarray(-8)], c.last8) ??
        same(String(vector.reduce((sum, value) => sum + value, 0)), String(c.sum)) ??
        same(createHash('sha256').update(bigEndian).digest('hex'), c.sha256_of_be_i32)
      )
    })
  },
}

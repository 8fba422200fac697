import { createHash } from 'node:crypto'
import { tokensHash } from '../../src/protocol/binding.js'
import { bucketOf } from '../../src/protocol/bucket.js'
import { challengeMaterial, indicesFromRoot, indicesInRange } from '../../src/protocol/challenge-indices.js'
import { coefficientOf, coefficients } from '../../src/protocol/coefficients.js'
import { PRF_LABEL, prf } from '../../src/protocol/prf.js'
import { FORK_V1, GRAIL_V5, type Profile } from '../../src/protocol/profile.js'
import { PythonRandom } from '../../src/protocol/python-random.js'
import { randomnessBytes } from '../../src/protocol/randomness.js'
import { type Commitment, commitmentOf, sketchOfIndices, topkIndices } from '../../src/protocol/sketch.js'
import { isSketch, sketchDistance, sketchTolerance } from '../../src/protocol/tolerance.js'
import { bf16Rows, fromBf16 } from './bf16.js'
import { type Check, type Checks, same, type VectorFile } from './check.js'
import { compareOrError } from './expect-error.js'
import { fromFloatHex } from './float-hex.js'

/** Coefficients, buckets, sketches, tolerances and challenged positions. */
export const proofChecks: Checks = {
  'coeff_vec_v5.json': coefficientsCheck(GRAIL_V5),
  'coeff_vec_v1_fork.json': coefficientsCheck(FORK_V1),

  'coeff_map_int16.json': (file, index) => {
    const c = file.cases[index]
    const range = GRAIL_V5.coefficientRange
    const all = Int8Array.from({ length: 65_536 }, (_, offset) => coefficientOf(offset - 32_768, range))
    return same(coefficientOf(c.int16, range), c.coeff) ?? sameChecksum(all, file.sha256_all_int8)
  },

  'log_bucket.json': (file, index) => {
    const c = file.cases[index]
    const value = fromFloatHex(c.hex)
    return (
      same(bucketOf(value, GRAIL_V5), c.b8) ??
      same(bucketOf(value, FORK_V1), c.b16) ??
      same(bucketOf(value, GRAIL_V5), c.b8_vec_f64 ?? c.b8) ??
      same(bucketOf(value, FORK_V1), c.b16_vec_f64 ?? c.b16)
    )
  },

  'log_bucket_bf16.json': (file, index) => {
    const c = file.cases[index]
    const profile = c.num_buckets === GRAIL_V5.buckets ? GRAIL_V5 : FORK_V1
    const all = Int8Array.from({ length: 32_768 }, (_, bits) => bucketOf(fromBf16(bits), profile))
    const run = all.subarray(c.bf16_bits_from, c.bf16_bits_to + 1)
    return (
      same([Math.min(...run), Math.max(...run)], [c.bucket, c.bucket]) ??
      // the run ends where the table says it does
      (all[c.bf16_bits_from - 1] === c.bucket || all[c.bf16_bits_to + 1] === c.bucket
        ? `bucket ${c.bucket} reaches beyond the patterns ${c.bf16_bits_from} to ${c.bf16_bits_to}`
        : undefined) ??
      sameChecksum(all, file[`sha256_int8_nb${c.num_buckets}`])
    )
  },

  'sketch_commitments_v5.json': (file, index) => {
    const c = file.cases[index]
    const rows = bf16Rows(c.hidden_bf16_le_hex, c.hidden_dim)
    const coefs = coefficients(GRAIL_V5, c.rand_hex)
    return (
      same([...coefs], c.coeffs) ??
      firstOf(rows, (hidden, position) => {
        const given: number[] = c.sorted_topk_indices[position]
        // where magnitudes tie at the border torch's choice is open: any choice of equal magnitudes is right
        if (c.tie_at_topk_border[position])
          return (
            sameMagnitudes(hidden, given, GRAIL_V5) ??
            same(sketchOfIndices(hidden, given, coefs, GRAIL_V5), c.commitments[position].sketch)
          )
        return (
          same([...topkIndices(hidden, GRAIL_V5)], given) ??
          same(commitmentOf(hidden, coefs, position, GRAIL_V5), c.commitments[position])
        )
      })
    )
  },

  'sketch_commitments_v1_fork.json': (file, index) => {
    const c = file.cases[index]
    const rows = bf16Rows(c.hidden_bf16_le_hex, c.hidden_dim)
    const coefs = coefficients(FORK_V1, c.rand_hex)
    return (
      same([...coefs], c.coeffs) ??
      firstOf(rows, (hidden, position) => {
        const expected: Required<Commitment> = c.commitments_batch[position]
        if (c.distinct_abs_values_in_topk[position])
          return same(commitmentOf(hidden, coefs, position, FORK_V1), expected)
        // the rank order among equal magnitudes is torch's own: the sketch of the given order must come out
        return (
          sameMagnitudes(hidden, expected.indices, FORK_V1) ??
          same(sketchOfIndices(hidden, expected.indices, coefs, FORK_V1), expected.sketch) ??
          same(position, expected.position)
        )
      })
    )
  },

  'sketch_tolerance_v5.json': toleranceCheck(GRAIL_V5),
  'sketch_tolerance_v1_fork.json': toleranceCheck(FORK_V1),

  'indices_from_root.json': (file, index) => {
    const c = file.cases[index]
    const run = () => indicesFromRoot(c.tokens, c.rand_hex, c.seq_len, c.k)
    return compareOrError(c, run, () => {
      const material = challengeMaterial(c.tokens, c.rand_hex).toString('hex')
      return same(material, c.prf_material ?? material) ?? same(run(), c.indices)
    })
  },

  'indices_from_root_in_range.json': (file, index) => {
    const c = file.cases[index]
    const tokens = c.tokens ?? tokensOf(c.tokens_gen)
    const run = () => indicesInRange(tokens, c.rand_hex, c.start, c.end, c.k)
    return compareOrError(c, run, () => {
      const hash = tokensHash(tokens)
      return (
        same(hash.toString('hex'), c.tokens_sha256 ?? hash.toString('hex')) ??
        same(run(), c.indices) ??
        same(indicesInRange({ hash }, c.rand_hex, c.start, c.end, c.k), c.indices)
      )
    })
  },
}

function coefficientsCheck(profile: Profile): Check {
  return (file, index) => {
    const c = file.cases[index]
    const run = () => coefficients(profile, c.rand_hex)
    return compareOrError(c, run, () => {
      const raw = prf(PRF_LABEL.sketch, [randomnessBytes(c.rand_hex)], 2 * profile.topk)
      const values = Array.from({ length: profile.topk }, (_, j) => raw.readInt16BE(2 * j))
      return same(values, c.int16) ?? same([...run()], c.coeffs)
    })
  }
}

function toleranceCheck(profile: Profile): Check {
  return (file: VectorFile, index: number) => {
    const c = file.cases[index]
    const run = () => sketchTolerance(profile, c.position)
    return compareOrError(c, run, () => {
      if (c.kind !== 'verify') return same(run(), c.tolerance)
      const distance = sketchDistance(c.validator_sketch, c.miner_sketch)
      // what is no sketch at all is refused here although the reference's arithmetic lets it pass
      const refused = !isSketch(c.miner_sketch) ? false : distance <= run()
      return (
        same(run(), c.tolerance) ??
        same(distance, c.mod_diff) ??
        same(distance <= run(), c.valid) ??
        same(refused, isSketch(c.miner_sketch) && c.valid)
      )
    })
  }
}

/** Are these the strongest activations, and each once? */
function sameMagnitudes(hidden: Float32Array, indices: readonly number[], profile: Profile): string | undefined {
  const magnitudes = (chosen: Iterable<number>) => Array.from(chosen, i => Math.abs(hidden[i]!)).sort((a, b) => b - a)
  return (
    same(new Set(indices).size, profile.topk) ?? same(magnitudes(indices), magnitudes(topkIndices(hidden, profile)))
  )
}

function firstOf<T>(items: readonly T[], check: (item: T, index: number) => string | undefined): string | undefined {
  for (const [index, item] of items.entries()) {
    const failure = check(item, index)
    if (failure) return `position ${index}: ${failure}`
  }
  return undefined
}

function sameChecksum(values: Int8Array, expected: string | undefined): string | undefined {
  return expected === undefined
    ? undefined
    : same(createHash('sha256').update(Buffer.from(values.buffer)).digest('hex'), expected)
}

function tokensOf(generated: { mt_seed_int: number; n: number; below: number }): number[] {
  const random = new PythonRandom(generated.mt_seed_int)
  return Array.from({ length: generated.n }, () => random.randbelow(generated.below))
}

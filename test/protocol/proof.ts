import t from 'tap'
import { bucketOf } from '../../src/protocol/bucket.js'
import { challengeIndices, indicesInRange } from '../../src/protocol/challenge-indices.js'
import { coefficientOf, coefficients } from '../../src/protocol/coefficients.js'
import { prf } from '../../src/protocol/prf.js'
import { FORK_V1, GRAIL_V5, PRIME_Q, profileOf } from '../../src/protocol/profile.js'
import { commitmentOf, sketchOf, topkIndices } from '../../src/protocol/sketch.js'
import { isSketch, sketchDistance, sketchTolerance } from '../../src/protocol/tolerance.js'

const RANDOMNESS = '56ccb7a722df2af5437d8f5b501804937f8e9419448a35817065d6bb04bce065'

t.test('a profile this build does not know is refused by name', t => {
  t.equal(profileOf('grail-v5'), GRAIL_V5)
  t.throws(() => profileOf('grail-v6'), /unknown protocol profile "grail-v6"/)
  t.equal(FORK_V1.mayUpload, false)
  t.end()
})

t.test('the PRF joins its parts, which is not injective, and refuses lengths beyond 65536', t => {
  const bytes = (...texts: string[]) => texts.map(text => Buffer.from(text))
  const label = Buffer.from('sketch')
  t.same(prf(label, bytes('a||b'), 32), prf(label, bytes('a', 'b'), 32))
  t.same(prf(label, [], 1), prf(label, bytes(''), 1))
  t.equal(prf(label, [], 0).length, 0)
  for (const length of [-1, 65_537, 1.5]) t.throws(() => prf(label, [], length), RangeError)
  t.end()
})

t.test('the one int16 without a positive twin maps to 0', t => {
  t.equal(coefficientOf(-32_768, 127), 0)
  t.equal(coefficientOf(-32_767, 127), coefficientOf(32_767, 127))
  t.equal(coefficientOf(0, 127), -127)
  t.equal(coefficientOf(254, 127), 127)
  t.equal(coefficientOf(255, 127), -127)
  t.end()
})

t.test("the fork's coefficients go on where grail-v5's end", t => {
  const short = coefficients(GRAIL_V5, RANDOMNESS)
  const long = coefficients(FORK_V1, RANDOMNESS)
  t.equal(short.length, 16)
  t.equal(long.length, 32)
  t.same([...long.subarray(0, 16)], [...short])
  t.same(coefficients(GRAIL_V5, `0x${RANDOMNESS.toUpperCase()}`), short, '0x and letter case do not count')
  t.throws(() => coefficients(GRAIL_V5, 'zz'), RangeError)
  t.end()
})

t.test('buckets', t => {
  const cases: [number, number][] = [
    [0, 0],
    [-0, 0],
    [1e-7, 0],
    [1.378, 0],
    [1.3784142300054423, 1],
    [-1.3784142300054423, -1],
    [31, 4],
    [5000, 7],
    [Number.MAX_VALUE, 7],
    [Number.POSITIVE_INFINITY, 7],
    [Number.NEGATIVE_INFINITY, -7],
    [Number.NaN, 0],
  ]
  for (const [value, bucket] of cases) t.equal(bucketOf(value, GRAIL_V5), bucket, String(value))
  t.throws(() => bucketOf(1, { ...GRAIL_V5, buckets: 12 }), RangeError)
  t.end()
})

t.test('buckets are the logarithm’s own steps', t => {
  for (const profile of [GRAIL_V5, FORK_V1])
    for (let exponent = -8; exponent < 14; exponent += 0.037) {
      const value = 2 ** exponent
      const formula = Math.min(profile.buckets - 1, Math.trunc(Math.log2(value + 1) * (profile.buckets / 10)))
      if (bucketOf(value, profile) !== formula) t.fail(`${value}: ${bucketOf(value, profile)} instead of ${formula}`)
    }
  t.end()
})

t.test('the strongest activations are taken, in the order the profile multiplies them', t => {
  const hidden = Float32Array.from({ length: 40 }, (_, i) => (i % 2 ? -1 : 1) * (i + 1))
  t.same(
    [...topkIndices(hidden, GRAIL_V5)],
    Array.from({ length: 16 }, (_, i) => 24 + i),
  )
  t.same(
    [...topkIndices(hidden, FORK_V1)],
    Array.from({ length: 32 }, (_, i) => 39 - i),
  )
  t.same(
    [...topkIndices(new Float32Array(20), GRAIL_V5)],
    Array.from({ length: 16 }, (_, i) => i),
    'ties go by index',
  )
  hidden[3] = Number.NaN
  t.ok(topkIndices(hidden, GRAIL_V5).includes(3), 'NaN counts as the strongest, as torch counts it')
  t.throws(() => topkIndices(new Float32Array(15), GRAIL_V5), RangeError)
  t.end()
})

t.test('a sketch lies in [0, q): negative sums wrap', t => {
  const hidden = new Float32Array(16).fill(1000)
  const minus = new Int8Array(16).fill(-1)
  t.equal(sketchOf(hidden, minus, GRAIL_V5), PRIME_Q - 112)
  t.equal(
    sketchOf(
      hidden,
      minus.map(value => -value),
      GRAIL_V5,
    ),
    112,
  )
  t.equal(sketchOf(new Float32Array(16), minus, GRAIL_V5), 0)
  t.same(Object.keys(commitmentOf(hidden, minus, 5, GRAIL_V5)), ['sketch'])
  const forked = commitmentOf(new Float32Array(32).fill(1), new Int8Array(32).fill(1), 5, FORK_V1)
  t.same(Object.keys(forked), ['sketch', 'indices', 'position'])
  t.end()
})

t.test('tolerance and distance of sketches', t => {
  t.equal(sketchTolerance(GRAIL_V5, 0), 6000)
  t.equal(sketchTolerance(GRAIL_V5, 8192), 6452)
  t.equal(sketchTolerance(FORK_V1, 0), 50)
  t.equal(sketchTolerance(FORK_V1, 8192), 99)
  t.throws(() => sketchTolerance(GRAIL_V5, -1), RangeError)
  t.equal(sketchDistance(889, PRIME_Q - 1), 890, 'around the modulus')
  for (const value of [0, PRIME_Q - 1]) t.ok(isSketch(value))
  for (const value of [-1, PRIME_Q, 0.5, Number.NaN, '1', null]) t.notOk(isSketch(value), String(value))
  t.end()
})

t.test('challenged positions lie in the completion, ascending and each once', t => {
  const tokens = Int32Array.from({ length: 500 }, (_, i) => i)
  for (const completion of [1, 31, 32, 33, 320, 321, 400]) {
    const positions = challengeIndices(GRAIL_V5, tokens, RANDOMNESS, 100, completion)
    t.equal(positions.length, Math.min(32, completion))
    t.same(
      [...new Set(positions)].sort((a, b) => a - b),
      positions,
    )
    t.ok(positions[0]! >= 100 && positions.at(-1)! < 100 + completion)
  }
  t.same(indicesInRange(tokens, RANDOMNESS, 7, 7, 32), [])
  t.throws(() => indicesInRange(tokens, RANDOMNESS, -1, 7, 32), RangeError)
  t.throws(() => indicesInRange(tokens, RANDOMNESS, 8, 7, 32), RangeError)
  t.throws(() => indicesInRange([], RANDOMNESS, 0, 7, 3), RangeError, 'no tokens')
  t.throws(() => indicesInRange(tokens, '0x', 0, 7, 3), RangeError, 'no randomness')
  t.end()
})

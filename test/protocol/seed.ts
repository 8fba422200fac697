import t from 'tap'
import { deriveEnvSeed } from '../../src/protocol/seed.js'

const HOTKEY = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const HASH = '0x89a1a98e709fa672374b463bbd8d5946ff4f530c5e65be07bf17ef8473ec96e9'

t.test('a seed is bound to hotkey, window hash and index', t => {
  t.equal(deriveEnvSeed(HOTKEY, HASH, 0), 3_145_502_636)
  t.equal(deriveEnvSeed(HOTKEY, HASH, 1), 557_671_507)
  t.not(deriveEnvSeed(HOTKEY, HASH.toUpperCase(), 0), 3_145_502_636, 'the letter case of the hash counts')
  t.not(deriveEnvSeed(HOTKEY, HASH.slice(2), 0), 3_145_502_636, 'so does its 0x')
  t.not(deriveEnvSeed('5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty', HASH, 0), 3_145_502_636)
  t.end()
})

t.test('an index is what Python makes of it', t => {
  const same: [given: number | bigint | string | boolean | null, counts: number | bigint][] = [
    [3.9, 3],
    [-3.9, -3],
    [true, 1],
    [' 7 ', 7],
    ['1_0', 10],
    ['٣', 3],
    [1e30, 1_000_000_000_000_000_019_884_624_838_656n],
    ['abc', 0],
    ['', 0],
    [null, 0],
    [Number.NaN, 0],
    [Number.POSITIVE_INFINITY, 0],
  ]
  for (const [given, counts] of same)
    t.equal(deriveEnvSeed(HOTKEY, HASH, given), deriveEnvSeed(HOTKEY, HASH, counts), `${given} counts as ${counts}`)
  t.end()
})

import { createHash } from 'node:crypto'
import t from 'tap'
import { drandRound, QUICKNET } from '../../src/protocol/drand.js'
import {
  challengeRandomness,
  cleanHex,
  randomnessBytes,
  referenceMinerRandomness,
  windowRandomness,
} from '../../src/protocol/randomness.js'

const HASH = `0x${'00'.repeat(32)}`
const DRAND = '786136e1a62af801f594a0cde808cc7ca37daf15bc7211c00bc8619b2a43f5a2'

t.test("a window's randomness is always 64 hex digits without 0x, with a beacon and without", t => {
  for (const drand of [DRAND, undefined]) t.match(windowRandomness(HASH, drand), /^[0-9a-f]{64}$/)
  t.equal(windowRandomness(HASH), createHash('sha256').update(HASH).digest('hex'), 'the 0x is part of the text')
  t.equal(windowRandomness(HASH, DRAND), 'ab7b0e8d2bf91b1679718a4285c16a726e5c55184605290e485fa78a338c2490')
  t.equal(challengeRandomness(HASH), windowRandomness(HASH), 'validators choose positions by the same formula')
  t.equal(referenceMinerRandomness(HASH), HASH, 'the reference miner hands on what its own schema refuses')
  t.end()
})

t.test('randomness is cleaned before its bytes are taken', t => {
  const cases: [text: string, clean: string, bytes: string | undefined][] = [
    [' 0xABcd\n', 'ABcd', 'abcd'],
    ['de0xad', 'dead', 'dead'],
    ['0X0xff', 'ff', 'ff'],
    ['abc', '0abc', '0abc'],
    ['00xx12', '0x12', undefined],
    ['', '', ''],
    ['0x', '', ''],
    ['ab cd', '0ab cd', undefined],
    ['ab  cd', 'ab  cd', 'abcd'],
    ['zz', 'zz', undefined],
    ['\u2003ab\u2003', 'ab', 'ab'],
  ]
  for (const [text, clean, bytes] of cases) {
    t.equal(cleanHex(text), clean, JSON.stringify(text))
    if (bytes === undefined) t.throws(() => randomnessBytes(text), RangeError, `${JSON.stringify(text)} is not hex`)
    else t.equal(randomnessBytes(text).toString('hex'), bytes)
  }
  t.end()
})

t.test('drand rounds start with 1 at the genesis', t => {
  const { genesisTime, period } = QUICKNET
  t.equal(drandRound(genesisTime - 1), 0)
  t.equal(drandRound(genesisTime), 1)
  t.equal(drandRound(genesisTime + period - 0.001), 1)
  t.equal(drandRound(genesisTime + period), 2)
  t.end()
})

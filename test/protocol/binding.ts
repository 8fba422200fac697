import t from 'tap'
import {
  challengeText,
  commitDigest,
  commitmentsHash,
  commitmentsJson,
  nonceOf,
  tokensHash,
} from '../../src/protocol/binding.js'
import { hashOfCommitments } from '../../src/protocol/canonical-json.js'
import { completionDigest } from '../../src/protocol/completion-digest.js'
import { FORK_V1, GRAIL_V5 } from '../../src/protocol/profile.js'
import { parsePythonJson } from '../../src/protocol/python-json.js'
import { commitSignatureValid, rowSignatureValid, type SignedCommit } from '../../src/protocol/signatures.js'
import { keyPairOfSeed, ready, sr25519Sign, sr25519Verify } from '../../src/wallet/sr25519.js'

const commit = {
  tokens: Int32Array.of(5, 6, 7),
  randomness: 'ab'.repeat(32),
  modelName: 'async_trainer_snapshot',
  layerIndex: -1,
}

t.test('tokens hash by their low 32 bits, whatever holds them', t => {
  const hash = tokensHash([-1, 7]).toString('hex')
  t.equal(tokensHash(Int32Array.of(-1, 7)).toString('hex'), hash)
  t.equal(tokensHash([2 ** 32 - 1, 2 ** 32 + 7]).toString('hex'), hash)
  t.equal(tokensHash([-1n, (1n << 64n) + 7n]).toString('hex'), hash)
  for (const token of [1.5, Number.NaN, 2 ** 60]) t.throws(() => tokensHash([token]), RangeError, String(token))
  t.end()
})

t.test('commitments written the fast way are the canonical JSON', t => {
  const sketches = Int32Array.of(0, 1, 9, 10, 99, 100, 14_224, 2_147_483_646, -1)
  const json = commitmentsJson(sketches).toString()
  t.equal(json.slice(0, 27), '[{"sketch":0},{"sketch":1},')
  t.same(commitmentsHash(sketches), hashOfCommitments(parsePythonJson(json)))
  t.equal(commitmentsJson(new Int32Array(0)).toString(), '[]')
  const edges = Array.from({ length: 10 }, (_, digits) => 10 ** digits).flatMap(power => [power - 1, power, power + 1])
  const all = [...edges, ...edges.map(edge => -edge), 2 ** 31 - 1, -(2 ** 31), 100_000_009, 1_000_090_000]
  for (const sketches of [all, ...all.map(one => [one])])
    t.equal(
      commitmentsJson(Int32Array.from(sketches)).toString(),
      JSON.stringify(sketches.map(sketch => ({ sketch: sketch + 0 }))),
    )
  t.end()
})

t.test('every part of a commit changes its digest', t => {
  const digest = (over: object) =>
    commitDigest({ ...commit, commitmentsHash: commitmentsHash(Int32Array.of(1, 2, 3)), ...over }).toString('hex')
  const changes: object[] = [
    {},
    { tokens: [5, 6, 8] },
    { randomness: 'ac' },
    { randomness: '' },
    { modelName: 'other' },
    { modelName: '' },
    { layerIndex: 0 },
    { layerIndex: -2 },
    { commitmentsHash: commitmentsHash(Int32Array.of(1, 2, 4)) },
  ]
  t.equal(new Set(changes.map(digest)).size, changes.length)
  t.equal(digest({ randomness: ` 0x${commit.randomness} ` }), digest({}), 'randomness is cleaned first')
  for (const layerIndex of [2 ** 31, -(2 ** 31) - 1, 0.5, Number.NaN, undefined])
    t.throws(() => digest({ layerIndex }), RangeError, `layer ${layerIndex}`)
  t.throws(() => digest({ randomness: 'xyz' }), RangeError)
  t.end()
})

t.test('challenge texts and nonces', t => {
  t.equal(challengeText('0xab', 17), '|0xab|17')
  t.equal(challengeText('0xab', '17', 88), '88|0xab|17')
  t.throws(() => challengeText('0xab', 1.5), RangeError)
  t.equal(nonceOf(GRAIL_V5, 6, 15), 111)
  t.equal(nonceOf(GRAIL_V5, -3, 2), -46)
  t.equal(nonceOf(FORK_V1, 6, 15), 615)
  t.end()
})

t.test('signatures', async t => {
  await ready()
  const pair = keyPairOfSeed(new Uint8Array(32).fill(7))
  const verify = (message: Uint8Array, signature: Uint8Array, signer: string) =>
    signer === 'us' && sr25519Verify(message, signature, pair.publicKey)
  const hex = (message: Uint8Array) => Buffer.from(sr25519Sign(message, pair)).toString('hex')

  t.test('a commit signature binds the commit to the hotkey', t => {
    const sketches = Int32Array.of(1, 2, 3)
    const digest = commitDigest({ ...commit, commitmentsHash: commitmentsHash(sketches) })
    const signed: SignedCommit = { ...commit, commitments: sketches, proofVersion: 'v5', signature: hex(digest) }
    const cases: [title: string, change: Partial<SignedCommit>, valid: boolean][] = [
      ['as signed', {}, true],
      ['version v4', { proofVersion: 'v4' }, true],
      ['commitments as parsed JSON', { commitments: parsePythonJson(commitmentsJson(sketches).toString()) }, true],
      ['upper-case signature', { signature: signed.signature.toUpperCase() }, true],
      [
        'wrapped for a browser wallet',
        { signature: hex(Buffer.concat([Buffer.from('<Bytes>'), digest, Buffer.from('</Bytes>')])) },
        true,
      ],
      ['version v1', { proofVersion: 'v1' }, false],
      ['another token', { tokens: [5, 6, 8] }, false],
      ['another sketch', { commitments: Int32Array.of(1, 2, 4) }, false],
      ['another model name', { modelName: 'other' }, false],
      ['another layer', { layerIndex: -2 }, false],
      ['other randomness', { randomness: 'cd' }, false],
      ['signature with 0x', { signature: `0x${signed.signature}` }, false],
      ['signature cut short', { signature: signed.signature.slice(2) }, false],
      ['no signature', { signature: '' }, false],
      ['randomness that is no hex', { randomness: 'xyz' }, false],
      ['a token that is no integer', { tokens: [5, 6, 7.5] }, false],
    ]
    for (const [title, change, valid] of cases)
      t.equal(commitSignatureValid(GRAIL_V5, { ...signed, ...change }, 'us', verify), valid, title)
    t.equal(commitSignatureValid(GRAIL_V5, signed, 'them', verify), false, 'another hotkey')
    t.equal(commitSignatureValid(FORK_V1, signed, 'us', verify), false, 'another profile')
    t.end()
  })

  t.test('a row signature is checked against the row’s own hotkey and challenge', t => {
    const challenge = challengeText('0xab', 3)
    const row = { challenge, hotkey: 'us', signature: hex(Buffer.from(challenge)) }
    t.ok(rowSignatureValid(row, verify))
    t.notOk(rowSignatureValid({ ...row, challenge: `${challenge}0` }, verify))
    t.notOk(rowSignatureValid({ ...row, hotkey: 'them' }, verify))
    for (const field of ['challenge', 'hotkey', 'signature'])
      t.notOk(rowSignatureValid({ ...row, [field]: '' }, verify), `no ${field}`)
    t.notOk(rowSignatureValid({ ...row, challenge: '\ud800' }, verify), 'a text that is none')
    t.end()
  })

  t.test('a slip in the verifier is not taken for a bad signature', t => {
    const broken = () => {
      throw new TypeError('no wasm')
    }
    t.throws(() => rowSignatureValid({ challenge: 'a', hotkey: 'us', signature: 'ab' }, broken), TypeError)
    t.end()
  })
})

t.test('a completion’s digest ignores the prompt, and reads its length as Python does', t => {
  const digest = completionDigest([3, 4, 5], 0)
  t.equal(completionDigest([1, 2, 3, 4, 5], 2), digest)
  t.equal(completionDigest(Int32Array.of(1, 2, 3, 4, 5), 2), digest)
  t.equal(completionDigest([1, 2, 3, 4, 5], -3), digest)
  t.equal(completionDigest([1, 2, 3, 4, 5], '2'), digest)
  t.equal(completionDigest([3, 4, 5], null), digest)
  t.equal(completionDigest([3, 4, 5], 'x'), digest)
  t.equal(completionDigest([], 0), undefined)
  t.end()
})

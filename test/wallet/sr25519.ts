import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  hotkeyOf,
  keyPairOfSeed,
  publicKeyOf,
  ready,
  sr25519Sign,
  sr25519Verify,
  ss58Of,
} from '../../src/wallet/sr25519.js'
import { keyfiles } from '../helpers/keyfiles.js'
import { sharedAbsent, sharedFolder } from '../helpers/shared.js'

await ready()
const ALICE = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const message = new TextEncoder().encode('hello')
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
const vectors = (file: string) => JSON.parse(readFileSync(join(sharedFolder, 'spec/vectors', file), 'utf8'))

await t.test('a signature made by bittensor-wallet verifies', async t => {
  const { ss58, message, hex } = keyfiles.signature
  t.ok(sr25519Verify(new TextEncoder().encode(message), bytes(hex), publicKeyOf(ss58)))
})

await t.test('our own signature verifies, is different every time, and is bound to message and key', async t => {
  const pair = keyPairOfSeed(new Uint8Array(32).fill(1))
  const [one, two] = [sr25519Sign(message, pair), sr25519Sign(message, pair)]
  t.equal(one.length, 64)
  t.notSame(one, two)
  t.ok(sr25519Verify(message, one, pair.publicKey))
  t.ok(sr25519Verify(message, two, pair.publicKey))
  t.notOk(sr25519Verify(new TextEncoder().encode('hellO'), one, pair.publicKey))
  t.notOk(sr25519Verify(message, one, publicKeyOf(ALICE)))
})

await t.test('garbage is false, never an error', async t => {
  const key = publicKeyOf(ALICE)
  const cases: [string, Uint8Array, Uint8Array][] = [
    ['zeros', new Uint8Array(64), key],
    ['ones', new Uint8Array(64).fill(255), key],
    ['an empty signature', new Uint8Array(), key],
    ['a signature of 63 bytes', new Uint8Array(63), key],
    ['a signature of 65 bytes', new Uint8Array(65), key],
    ['a key that is no point', new Uint8Array(64), new Uint8Array(32).fill(255)],
    ['an empty key', new Uint8Array(64), new Uint8Array()],
  ]
  for (const [what, signature, publicKey] of cases) t.equal(sr25519Verify(message, signature, publicKey), false, what)
})

await t.test('an ss58 address and its public key are the same thing', async t => {
  const key = 'd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d'
  t.equal(Buffer.from(publicKeyOf(ALICE)).toString('hex'), key)
  t.equal(ss58Of(bytes(key)), ALICE)
  const refused: [string, string][] = [
    ['an empty text', ''],
    ['hexadecimal', `0x${key}`],
    ['a typing error', ALICE.replace('5Grw', '5Grv')],
    ['an address of another network', '15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5'],
    ['text that is not base58', '0OIl'],
  ]
  for (const [what, text] of refused) t.throws(() => publicKeyOf(text), RangeError, what)
  t.throws(() => ss58Of(new Uint8Array(31)), RangeError)
})

await t.test('a hotkey shows its address and nothing else', async t => {
  const { inspect } = await import('node:util')
  const seed = new Uint8Array(32).fill(0xab)
  const hotkey = hotkeyOf(keyPairOfSeed(seed))
  const secret = Buffer.from(keyPairOfSeed(seed).secret).toString('hex')
  for (const shown of [JSON.stringify(hotkey), inspect(hotkey, { showHidden: true, depth: 9 }), String(hotkey.sign)]) {
    t.notMatch(shown, 'abababab')
    t.notMatch(shown, secret.slice(0, 16))
  }
  t.notSame(hotkey.sign(message), hotkey.sign(message), 'its signatures are different every time')
  t.ok(sr25519Verify(message, hotkey.sign(message), hotkey.publicKey))
})

await t.test("the reference's sample signatures of commits", { skip: sharedAbsent }, async t => {
  for (const c of vectors('commit_signature.json').cases) {
    const digest = bytes(c.digest_hex)
    t.ok(sr25519Verify(digest, bytes(c.commit.signature), publicKeyOf(c.hotkey)), `digest ${c.digest_hex.slice(0, 8)}`)
  }
})

await t.test("the reference's sample signatures of challenges", { skip: sharedAbsent }, async t => {
  for (const c of vectors('challenge_signature.json').cases) {
    if (!c.sample_signature_hex) continue
    const challenge = new TextEncoder().encode(c.challenge)
    t.ok(sr25519Verify(challenge, bytes(c.sample_signature_hex), publicKeyOf(c.hotkey)), c.challenge.slice(-12))
    t.notOk(sr25519Verify(challenge.subarray(1), bytes(c.sample_signature_hex), publicKeyOf(c.hotkey)))
  }
})

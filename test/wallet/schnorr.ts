import t from 'tap'
import type { Hotkey } from '../../src/wallet/hotkey.js'
import { nativeRistretto, type Ristretto } from '../../src/wallet/ristretto.js'
import { signerOf } from '../../src/wallet/schnorr.js'
import { hotkeyOf, keyPairOfSeed, ready, sr25519Verify } from '../../src/wallet/sr25519.js'

await ready()
const native = nativeRistretto()
const nativeAbsent = native ? false : 'this host has no libsodium, or koffi no build for it'

const pairs = [0, 0xff, 1, 0x5a].map(byte => keyPairOfSeed(new Uint8Array(32).fill(byte)))
const [pair] = pairs as [(typeof pairs)[0]]
const messageOf = (length: number) => Buffer.alloc(length, 'grail')
const nonceOf = (signature: Uint8Array) => Buffer.from(signature.subarray(0, 32)).toString('hex')

/** Without the check that would quietly let WebAssembly sign. */
const inMachineCode = () => pairs.map(pair => signerOf(pair, native as Ristretto))
const inWebAssembly = () => pairs.map(pair => hotkeyOf(pair, { ristretto: undefined }).sign)

for (const [what, signers, skip] of [
  ['machine code', inMachineCode, nativeAbsent],
  ['WebAssembly', inWebAssembly, false],
] as const) {
  await t.test(`signatures of ${what}`, { skip }, async t => {
    const signs: Hotkey['sign'][] = signers()
    const [sign, other] = signs as [Hotkey['sign'], Hotkey['sign']]
    const verifies = (length: number, by: number) =>
      sr25519Verify(
        messageOf(length),
        (signs[by] as typeof sign)(messageOf(length)),
        pairs[by]?.publicKey as Uint8Array,
      )

    await t.test('verify for messages of every length around the blocks of a transcript', async t => {
      const lengths = Array.from({ length: 400 }, (_, length) => length)
      t.same(
        pairs.flatMap((_, by) => lengths.filter(length => !verifies(length, by))),
        [],
      )
    })

    await t.test('verify for lengths of three and four bytes', async t => {
      for (const length of [0xffff, 0x10000, 0x1000001]) t.ok(verifies(length, 0), `${length} bytes`)
    })

    await t.test('are bound to the message and to the key', async t => {
      t.notOk(sr25519Verify(messageOf(33), sign(messageOf(32)), pair.publicKey))
      t.notOk(sr25519Verify(messageOf(32), other(messageOf(32)), pair.publicKey))
    })

    await t.test('never have a nonce in common', async t => {
      const nonces = Array.from({ length: 200 }, (_, i) => nonceOf(sign(messageOf(i % 2))))
      t.equal(new Set(nonces).size, nonces.length)
    })
  })
}

await t.test('nonces where randomness repeats itself', { skip: nativeAbsent }, async t => {
  const wides: Uint8Array[] = []
  const ristretto: Ristretto = {
    ...(native as Ristretto),
    reduce: (scalar, wide) => {
      wides.push(Uint8Array.from(wide))
      native?.reduce(scalar, wide)
    },
  }
  const zeros = (bytes: Uint8Array) => bytes.fill(0)
  const withNonceHalf = (byte: number) => ({
    publicKey: pair.publicKey,
    secret: Buffer.concat([pair.secret.subarray(0, 32), Buffer.alloc(32, byte)]),
  })
  const sign = signerOf(withNonceHalf(1), ristretto, zeros)
  const nonce = nonceOf(sign(messageOf(32)))

  t.equal(nonceOf(sign(messageOf(32))), nonce, 'the same message, twice: the same signature, which tells nothing')
  t.not(nonceOf(sign(messageOf(33))), nonce, 'another message')
  t.not(nonceOf(signerOf(withNonceHalf(2), ristretto, zeros)(messageOf(32))), nonce, "the key's other half for nonces")
  t.not(
    nonceOf(signerOf(withNonceHalf(1), ristretto, bytes => bytes.fill(9))(messageOf(32))),
    nonce,
    'other randomness',
  )
  t.ok(
    wides.every(({ length }) => length === 64),
    'a scalar is drawn from twice its length',
  )
  t.ok(
    wides.every(wide => wide.subarray(32).some(byte => byte !== 0)),
    '… all of it',
  )
})

await t.test(
  'a hotkey signs in machine code where that signs well, and in WebAssembly elsewhere',
  { skip: nativeAbsent },
  async t => {
    let additions = 0
    const add: Ristretto['add'] = (...scalars) => {
      additions++
      native?.add(...scalars)
    }
    const cases: [string, Partial<Ristretto>, 'machine code' | 'WebAssembly'][] = [
      ['as it is', { add }, 'machine code'],
      ['one that adds wrongly', { add: (sum, a) => sum.set(a) }, 'WebAssembly'],
      [
        'one that throws',
        {
          multiplyBase: () => {
            throw new Error('no')
          },
        },
        'WebAssembly',
      ],
    ]
    for (const [what, part, expected] of cases) {
      const { sign, publicKey } = hotkeyOf(pair, { ristretto: { ...(native as Ristretto), ...part } })
      additions = 0
      t.ok(sr25519Verify(messageOf(32), sign(messageOf(32)), publicKey), what)
      t.equal(additions, expected === 'machine code' ? 1 : 0, `${what}: ${expected}`)
    }
  },
)

await t.test('what is no key pair, and 0 as a nonce, are refused', { skip: nativeAbsent }, async t => {
  const { publicKey, secret } = pair
  const refused = [
    { publicKey, secret: secret.subarray(0, 32) },
    { publicKey: publicKey.subarray(1), secret },
  ]
  for (const parts of refused) t.throws(() => signerOf(parts, native as Ristretto), /a key pair has 32 and 64 bytes/)
  t.throws(() => native?.multiplyBase(new Uint8Array(32), new Uint8Array(32)), /0 is not a scalar/)
})

import { Packr } from 'msgpackr'
import t from 'tap'
import { BlobError, decodeGroup, digestOf, encodeGroup, MAX_BLOB_BYTES } from '../../src/window/blob.js'
import { sampleGroup, seededRandom } from '../helpers/group.js'

const plain = new Packr({ useRecords: false })
const loose = new Packr({ useRecords: false, moreTypes: true })

t.test('a group comes back as it went in, NaN included, and does not depend on the bytes any more', t => {
  const group = sampleGroup({ index: 7 })
  const bytes = encodeGroup(group)
  const back = decodeGroup(bytes)
  bytes.fill(0)
  t.strictSame(back, group)
  t.ok(Number.isNaN(back.rollouts[3]?.eosProbability), 'a completion cut by length has no EOS probability')
  t.ok(back.rollouts[0]?.completionIds instanceof Int32Array && back.rollouts[0].logprobs instanceof Float32Array)
  t.end()
})

t.test('the same group has the same bytes and digest', t => {
  t.equal(digestOf(encodeGroup(sampleGroup())), digestOf(encodeGroup(sampleGroup())))
  t.not(digestOf(encodeGroup(sampleGroup())), digestOf(encodeGroup(sampleGroup({ index: 1 }))))
  t.match(digestOf(new Uint8Array()), /^e3b0c44298fc1c149afbf4c8996fb924/)
  t.end()
})

t.test('a blob costs about 12 bytes per completion position', t => {
  const group = sampleGroup({ promptLength: 200, completionLength: 1_000, equalLengths: true })
  const bytes = encodeGroup(group).length
  t.ok(bytes < 16 * (1_000 * 12 + 200 * 4) + 4_000, `${bytes} bytes`)
  t.end()
})

t.test('a group whose arrays do not fit together is not encoded', t => {
  const group = sampleGroup()
  const [first, ...others] = group.rollouts
  if (!first) throw new Error('a sample has rollouts')
  const shorter = { ...first, sketches: first.sketches.subarray(1) }
  t.throws(() => encodeGroup({ ...group, rollouts: [shorter, ...others] }), {
    name: 'BlobError',
    message: /99 sketches/,
  })
  t.throws(() => encodeGroup({ ...group, rollouts: others }), {
    name: 'BlobError',
    message: /15 rollouts instead of 16/,
  })
  t.end()
})

t.test('bytes that are not a group are refused with one sentence', t => {
  const good = encodeGroup(sampleGroup())
  const fields = () => plain.unpack(good)
  const hostileArray = Uint8Array.from([0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0])
  const nested = new Uint8Array(100_000).fill(0x91)
  const cases: [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(), /ends early/],
    ['one byte short', good.subarray(0, good.length - 1), /ends early/],
    ['one byte long', Uint8Array.from([...good, 0xc0]), /1 bytes follow its end/],
    ['too large', new Uint8Array(MAX_BLOB_BYTES + 1), /more than the 16777216/],
    ['an array that claims four billion items', hostileArray, /ends early/],
    ['arrays in arrays in arrays', nested, /more than 256 values/],
    ['an extension type', loose.pack({ a: new Float32Array(3) }), /extension/],
    ['a number', plain.pack(42), /layout grail-group\/1/],
    ['another version', plain.pack({ ...fields(), version: 'grail-group/2' }), /version/],
    ['a field too many', plain.pack({ ...fields(), extra: 1 }), /extra/],
    ['a field too few', plain.pack({ ...fields(), seed: undefined }), /not plain msgpack|seed/],
    ['text for a number', plain.pack({ ...fields(), window: '30' }), /window/],
    ['a fraction for a window', plain.pack({ ...fields(), window: 30.5 }), /window/],
    ['a negative epoch', plain.pack({ ...fields(), epoch: -1 }), /epoch/],
  ]
  for (const [what, bytes, message] of cases)
    t.throws(() => decodeGroup(bytes), { name: 'BlobError', message }, `${what} is refused`)

  const columns: [string, string, Uint8Array, RegExp][] = [
    [
      'a length that is negative',
      'completionLengths',
      new Uint8Array(Int32Array.from({ length: 16 }, () => -1).buffer),
      /-1/,
    ],
    ['15 lengths', 'completionLengths', new Uint8Array(60), /15 values, expected 16/],
    ['bytes that are no int32', 'promptIds', new Uint8Array(5), /no multiple/],
    ['missing logprobs', 'logprobs', new Uint8Array(0), /0 values, expected/],
    ['a flag that is neither 0 nor 1', 'success', new Uint8Array(16).fill(2), /0 and 1/],
  ]
  for (const [what, name, bytes, message] of columns) {
    const value = fields()
    value.columns[name] = bytes
    t.throws(() => decodeGroup(plain.pack(value)), { name: 'BlobError', message }, `${what} is refused`)
  }
  t.end()
})

t.test('a damaged blob gives a group of the right shape or a BlobError, never anything else', t => {
  const good = encodeGroup(sampleGroup({ promptLength: 8, completionLength: 4 }))
  const random = seededRandom(42)
  let refused = 0
  for (let round = 0; round < 2_000; round++) {
    const bytes = good.slice()
    const header = 900
    for (let i = 0; i < 3; i++) bytes[Math.floor(random() * header)] = Math.floor(random() * 256)
    try {
      const group = decodeGroup(bytes)
      if (group.rollouts.length !== 16) t.fail(`round ${round}: ${group.rollouts.length} rollouts`)
    } catch (error) {
      if (!(error instanceof BlobError)) t.fail(`round ${round}: ${String(error)}`)
      refused++
    }
  }
  t.ok(refused > 500, `${refused} of 2000 damaged blobs were refused`)
  t.end()
})

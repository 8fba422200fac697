import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readWeightFiles } from '../../src/checkpoint/safetensors.js'
import { weightsHash, weightsHashOfFolder } from '../../src/checkpoint/weights-hash.js'
import { FORK_V1, GRAIL_V5 } from '../../src/protocol/profile.js'
import { fullFiles, safetensors, someWeights } from './helpers/publisher.js'

const never = new AbortController().signal

/** A file with this header before these bytes. */
function fileOf(header: unknown, data = Buffer.alloc(0)): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, data])
}

t.test('weights are found in all files of a folder, tensors in the order of their file', async t => {
  const weights = someWeights(1)
  const folder = t.testdir()
  for (const [path, bytes] of Object.entries(fullFiles(weights)))
    if (!path.includes('/')) writeFileSync(join(folder, path), bytes)
  const files = await readWeightFiles(folder)
  t.same(
    files.map(({ file }) => file),
    ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'],
  )
  const tensors = files.flatMap(file => file.tensors)
  t.same(
    tensors.map(({ name, type, shape, bytes }) => [name, { type, shape, bytes }]),
    [...weights].map(([name, { type, shape, bytes }]) => [name, { type, shape, bytes: bytes.length }]),
  )
  t.equal(tensors[0]!.offset, files[0]!.dataStart)
})

t.test('the weights hash of a folder is that of its tensors, however they are spread over files', async t => {
  const weights = someWeights(1)
  const one = t.testdir({ 'model.safetensors': safetensors(weights) })
  for (const profile of [GRAIL_V5, FORK_V1])
    t.equal(await weightsHashOfFolder(one, profile, never), await weightsHash(weights, profile))
  const two = t.testdir()
  for (const [path, bytes] of Object.entries(fullFiles(weights)))
    if (!path.includes('/')) writeFileSync(join(two, path), bytes)
  t.equal(await weightsHashOfFolder(two, GRAIL_V5, never), await weightsHash(weights, GRAIL_V5))
  t.equal(await weightsHashOfFolder(t.testdir({ 'config.json': '{}' }), GRAIL_V5, never), '')
})

t.test('a file that is no safetensors file, or hides something, is refused', async t => {
  const entry = (over: object) => ({ dtype: 'F32', shape: [2], data_offsets: [0, 8], ...over })
  const eight = Buffer.alloc(8)
  const cases: [title: string, content: Buffer, said: RegExp][] = [
    ['nothing', Buffer.alloc(0), /has no whole header/],
    ['a length and nothing else', fileOf('{}').subarray(0, 8), /has no whole header/],
    [
      'a header longer than the file',
      Buffer.concat([Buffer.from('ffffff0000000000', 'hex'), eight]),
      /no whole header/,
    ],
    ['a length beyond all bounds', Buffer.from('ffffffffffffffff', 'hex'), /no whole header/],
    ['no JSON', fileOf('{"a"'), /is not JSON/],
    ['a list', fileOf([]), /malformed/],
    ['an unknown type', fileOf({ a: entry({ dtype: 'F31' }) }, eight), /malformed: a\.dtype/],
    ['a negative offset', fileOf({ a: entry({ data_offsets: [-8, 0] }) }, eight), /malformed: a\.data_offsets/],
    ['half an element', fileOf({ a: entry({ data_offsets: [0, 7] }) }, eight), /a in .* has 7 bytes, its shape \[2\]/],
    ['bytes beyond the end', fileOf({ a: entry({}) }), /has \d+ bytes; its header tells of \d+/],
    ['bytes that are no tensor’s', fileOf({ a: entry({}) }, Buffer.alloc(9)), /has \d+ bytes; its header tells of \d+/],
    ['a gap', fileOf({ a: entry({ data_offsets: [4, 12] }) }, Buffer.alloc(12)), /a in .* does not follow/],
    [
      'an overlap',
      fileOf({ a: entry({}), b: entry({ data_offsets: [4, 12] }) }, Buffer.alloc(12)),
      /b in .* does not follow/,
    ],
  ]
  for (const [title, content, said] of cases) {
    const folder = t.testdir({ 'model.safetensors': content })
    await t.rejects(readWeightFiles(folder), { code: 'malformed', next: 'never', message: said }, title)
  }
  const twice = safetensors(new Map([['a', { type: 'float32', shape: [1], bytes: new Uint8Array(4) }]]))
  const folder = t.testdir({ 'a.safetensors': twice, 'b.safetensors': twice })
  await t.rejects(readWeightFiles(folder), /a\.safetensors and b\.safetensors both hold a/)
})

t.test('scalars and tensors without elements are tensors', async t => {
  const header = {
    empty: { dtype: 'BF16', shape: [0, 5], data_offsets: [0, 0] },
    one: { dtype: 'I64', shape: [], data_offsets: [0, 8] },
  }
  const folder = t.testdir({ 'model.safetensors': fileOf(header, Buffer.alloc(8)) })
  t.match((await readWeightFiles(folder))[0]?.tensors, [
    { name: 'empty', bytes: 0 },
    { name: 'one', bytes: 8, type: 'int64' },
  ])
})

import t from 'tap'
import {
  applyDelta,
  type Delta,
  DeltaError,
  decodeDelta,
  decodeDeltaPayload,
  type TensorDelta,
} from '../../src/checkpoint/delta.js'
import { encodeDeltaPayload } from '../../src/checkpoint/delta-encoding.js'
import { DELTA_VERSIONS } from '../../src/checkpoint/delta-format.js'
import type { Tensor } from '../../src/checkpoint/tensor.js'
import { weightsHash } from '../../src/checkpoint/weights-hash.js'
import { FORK_V1, GRAIL_V5 } from '../../src/protocol/profile.js'

/** zstd frame of an empty delta of version 2. */
const EMPTY = Buffer.from('28b52ffd201ef100001a0000007b2276657273696f6e223a322c2274656e736f7273223a5b5d7d', 'hex')

const changes = (over: Partial<TensorDelta> = {}): TensorDelta => ({
  type: 'bfloat16',
  shape: [3, 300],
  rows: Int32Array.of(0, 0, 2, 2),
  columns: Int32Array.of(1, 299, 0, 5),
  values: Buffer.from('0101020203030404', 'hex'),
  ...over,
})

const base = new Map<string, Tensor>([
  ['w', { type: 'bfloat16', shape: [3, 300], bytes: new Uint8Array(1800) }],
  ['z', { type: 'float32', shape: [1], bytes: Uint8Array.of(1, 2, 3, 4) }],
])

t.test('every format keeps rows, columns and values', t => {
  for (const version of DELTA_VERSIONS) {
    const delta = decodeDeltaPayload(encodeDeltaPayload(new Map([['w', changes()]]), version), version)
    t.equal(delta.version, version)
    t.same([...delta.tensors.get('w')!.rows], [0, 0, 2, 2])
    t.same([...delta.tensors.get('w')!.columns], [1, 299, 0, 5])
    t.equal(Buffer.from(delta.tensors.get('w')!.values).toString('hex'), '0101020203030404')
  }
  t.end()
})

t.test('applying replaces values, and leaves the base and everything else as it was', t => {
  const result = applyDelta(base, { version: 3, tensors: new Map([['w', changes()]]) })
  const bytes = result.get('w')!.bytes
  t.same([...bytes.subarray(2, 4)], [1, 1])
  t.same([...bytes.subarray(299 * 2, 300 * 2)], [2, 2])
  t.same([...bytes.subarray(600 * 2, 601 * 2)], [3, 3])
  t.same([...bytes.subarray(605 * 2, 606 * 2)], [4, 4])
  t.equal(
    bytes.reduce((sum, byte) => sum + byte, 0),
    20,
  )
  t.ok(base.get('w')!.bytes.every(byte => byte === 0))
  t.equal(result.get('z'), base.get('z'))
  t.end()
})

t.test('a delta that does not fit the weights is refused', t => {
  const cases: [title: string, tensors: Delta['tensors']][] = [
    ['a tensor the weights lack', new Map([['x', changes()]])],
    ['another element type', new Map([['w', changes({ type: 'float16' })]])],
    ['another size', new Map([['w', changes({ shape: [3, 301] })]])],
  ]
  for (const [title, tensors] of cases) t.throws(() => applyDelta(base, { version: 3, tensors }), DeltaError, title)
  t.end()
})

t.test('a file that is not whole or not what it says is refused', t => {
  t.same([...decodeDelta(EMPTY).tensors], [])
  const payload = encodeDeltaPayload(new Map([['w', changes()]]), 31)
  const withHeader = (change: (header: { version: number; tensors: Record<string, unknown>[] }) => void) => {
    const length = payload.readUInt32LE(0)
    const header = JSON.parse(payload.subarray(4, 4 + length).toString())
    change(header)
    const text = Buffer.from(JSON.stringify(header))
    const size = Buffer.alloc(4)
    size.writeUInt32LE(text.length)
    return Buffer.concat([size, text, payload.subarray(4 + length)])
  }
  const cases: [title: string, run: () => unknown][] = [
    ['nothing', () => decodeDelta(new Uint8Array(0))],
    ['no zstd', () => decodeDelta(Buffer.from('PAR1 and more'))],
    ['a frame cut short', () => decodeDelta(EMPTY.subarray(0, 20))],
    ['another version than its metadata says', () => decodeDelta(EMPTY, 3)],
    [
      'a frame that says it unpacks to a terabyte',
      () => decodeDelta(Buffer.from('28b52ffdc0000000000000010000', 'hex')),
    ],
    ['no header length', () => decodeDeltaPayload(Buffer.alloc(3))],
    ['a header longer than the file', () => decodeDeltaPayload(Buffer.from('ffffffff7b7d', 'hex'))],
    ['a header that is no JSON', () => decodeDeltaPayload(Buffer.from('020000007b7b', 'hex'))],
    ['a header of another kind', () => decodeDeltaPayload(Buffer.from('020000007b7d', 'hex'))],
    ['an unknown version', () => decodeDeltaPayload(withHeader(h => (h.version = 4)))],
    ['an unknown element type', () => decodeDeltaPayload(withHeader(h => (h.tensors[0]!.value_dtype = 'int8')))],
    ['bytes beyond the end', () => decodeDeltaPayload(withHeader(h => (h.tensors[0]!.values_offset = 1000)))],
    ['a negative offset', () => decodeDeltaPayload(withHeader(h => (h.tensors[0]!.indices_offset = -1)))],
    ['fewer values than indices', () => decodeDeltaPayload(withHeader(h => (h.tensors[0]!.values_size = 6)))],
    ['another count than it says', () => decodeDeltaPayload(withHeader(h => (h.tensors[0]!.num_nonzero = 5)))],
    ['columns beyond the shape', () => decodeDeltaPayload(withHeader(h => (h.tensors[0]!.shape = [3, 299])))],
    ['rows beyond the shape', () => decodeDeltaPayload(withHeader(h => (h.tensors[0]!.shape = [2, 300])))],
    ['half an index', () => decodeDeltaPayload(withHeader(h => (h.tensors[0]!.cols_size = 7)))],
  ]
  for (const [title, run] of cases) t.throws(run, DeltaError, title)
  t.end()
})

t.test('indices take the narrowest integers that hold them', t => {
  const types = (tensor: TensorDelta) => {
    const payload = encodeDeltaPayload(new Map([['w', tensor]]), 31)
    const header = JSON.parse(payload.subarray(4, 4 + payload.readUInt32LE(0)).toString())
    return [header.tensors[0].row_dtype, header.tensors[0].col_dtype]
  }
  const at = (row: number, column: number) =>
    changes({
      shape: [100_000, 100_000],
      rows: Int32Array.of(row),
      columns: Int32Array.of(column),
      values: Buffer.alloc(2),
    })
  t.same(types(at(255, 65_535)), ['uint8', 'uint16'])
  t.same(types(at(256, 0)), ['uint16', 'uint16'])
  t.same(types(at(65_536, 65_536)), ['int32', 'int32'])
  t.throws(() => encodeDeltaPayload(new Map([['w', at(50_000, 0)]]), 2), RangeError, 'version 2 has flat indices')
  t.end()
})

t.test('what a weights hash covers', async t => {
  const hash = (tensors: [string, Tensor][], profile = GRAIL_V5) => weightsHash(new Map(tensors), profile)
  const tensor = (text: string, shape = [text.length / 8]): Tensor => ({
    type: 'float32',
    shape,
    bytes: Buffer.from(text, 'hex'),
  })
  const a: [string, Tensor] = ['a', tensor('00000040')]
  const b: [string, Tensor] = ['b', tensor('0000803f')]
  t.equal(await hash([b, a]), '19b64efca91af9e00d6904a9da9c45ef', 'in order of the names')
  t.equal(await hash([['x', tensor('000000400000803f', [2, 1])]]), '19b64efca91af9e00d6904a9da9c45ef', 'bytes alone')
  t.match(await hash([b, a], FORK_V1), /^[0-9a-f]{64}$/)
  t.not(await hash([['x', a[1]]], FORK_V1), await hash([a], FORK_V1), "the fork's covers names")
  t.not(await hash([['a', tensor('00000040', [1, 1])]], FORK_V1), await hash([a], FORK_V1), 'and shapes')
})

import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CHUNK_BYTES, chunkedFile, chunkRange } from '../../src/checkpoint/chunked-file.js'

const object = { key: 'a', etag: 'one', bytes: 2 * CHUNK_BYTES + 5 }
const chunk = (number: number) => Buffer.alloc(chunkRange(number, object.bytes).to - number * CHUNK_BYTES, number + 1)

t.test('chunks arrive in any order and are remembered', async t => {
  const path = join(t.testdir(), 'file')
  const first = await chunkedFile(path, object)
  t.same(first.missing, [0, 1, 2])
  await first.put(2, chunk(2))
  await first.put(0, chunk(0))
  const second = await chunkedFile(path, object)
  t.same(second.missing, [1])
  await second.put(1, chunk(1))
  t.same((await chunkedFile(path, object)).missing, [])
  t.ok(readFileSync(path).equals(Buffer.concat([0, 1, 2].map(chunk))))
  await second.discard()
  t.same(readdirSync(join(path, '..')), [])
})

t.test('what is not surely a chunk of this object is fetched again', async t => {
  const cases: [title: string, damage: (path: string) => void, of: typeof object, missing: number[]][] = [
    ['nothing happened', () => {}, object, [1, 2]],
    ['a line that was cut', path => appendFileSync(`${path}.chunks`, '1'), object, [1, 2]],
    ['no file', path => rmSync(path), object, [0, 1, 2]],
    ['no journal', path => rmSync(`${path}.chunks`), object, [0, 1, 2]],
    ['a journal of something else', path => writeFileSync(`${path}.chunks`, '0\n1\n2\n'), object, [0, 1, 2]],
    ['the object was replaced', () => {}, { ...object, etag: 'two' }, [0, 1, 2]],
    ['it has another size', () => {}, { ...object, bytes: CHUNK_BYTES }, [0]],
    ['it is another one', () => {}, { ...object, key: 'b' }, [0, 1, 2]],
  ]
  for (const [title, damage, of, missing] of cases) {
    const path = join(t.testdir(), 'file')
    await (await chunkedFile(path, object)).put(0, chunk(0))
    damage(path)
    t.same((await chunkedFile(path, of)).missing, missing, title)
  }
  t.same((await chunkedFile(join(t.testdir(), 'file'), { ...object, bytes: 0 })).missing, [])
})

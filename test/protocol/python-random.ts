import t from 'tap'
import { PythonRandom } from '../../src/protocol/python-random.js'

await t.test('the generator is CPython’s', t => {
  // reference outputs: python3 -c "import random; r = random.Random(42); print(…)"
  t.equal(new PythonRandom(42).random(), 0.6394267984578837, 'random() of seed 42')
  t.equal(
    new PythonRandom(42n).random(),
    new PythonRandom(-42).random(),
    'an integer seed counts by its absolute value',
  )
  const list = Array.from({ length: 10 }, (_, i) => i)
  new PythonRandom(42).shuffle(list)
  t.same(list, [7, 3, 2, 8, 5, 6, 9, 4, 0, 1], 'shuffle of 0…9')
  t.same(new PythonRandom(42).sample(['a', 'b', 'c', 'd', 'e'], 3), ['a', 'e', 'c'], 'sample of five letters')
  t.end()
})

await t.test('what Python refuses is refused', t => {
  const random = new PythonRandom('seed')
  t.throws(() => random.sampleRange(3, 4), /sample: 4 of 3/)
  t.throws(() => random.randbelow(0), /at least 1/)
  t.throws(() => random.getrandbits(-1), /not a number of bits/)
  t.throws(() => new PythonRandom(2 ** 53), /pass a bigint/)
  t.end()
})

import t from 'tap'
import { deadlineOf, extrapolateEnd, windowEnd, windowOf } from '../../src/window/block.js'
import { firstHole, writable } from '../../src/window/holes.js'

t.test('a block belongs to the window that begins at the last multiple of 30', t => {
  for (const [block, window] of [
    [0, 0],
    [29, 0],
    [30, 30],
    [929, 900],
    [930, 930],
  ] as const)
    t.equal(windowOf(block), window, `block ${block} belongs to window ${window}`)
  t.end()
})

t.test('the deadline is four seconds before the block that ends the window', t => {
  t.equal(windowEnd(900), 930)
  t.equal(deadlineOf(1_000_000), 996_000)
  t.equal(extrapolateEnd(900, { number: 910, timestampMs: 500_000 }, 12_000), 740_000)
  const late = extrapolateEnd(900, { number: 910, timestampMs: 500_000 }, 12_000.99)
  t.equal(late, 740_019, 'a whole number of ms, rounded down: rather too early')
  t.end()
})

t.test('holes are kept or end the file, as the profile needs it', t => {
  const cases: [number[], number[], number | undefined][] = [
    [[], [], undefined],
    [[0, 1, 2], [0, 1, 2], undefined],
    [[2, 0, 1], [0, 1, 2], undefined],
    [[0, 2, 3], [0], 1],
    [[1, 2], [], 0],
  ]
  for (const [staged, truncated, hole] of cases) {
    t.same(
      writable(staged, 'keep'),
      [...staged].sort((a, b) => a - b),
    )
    t.same(writable(staged, 'truncate'), truncated, `truncate ${staged}`)
    t.equal(firstHole(staged), hole, `first hole of ${staged}`)
  }
  t.end()
})

import t from 'tap'
import { median, percentile, ratiosOf, spreadOf } from '../../bench/measure/statistics.js'

t.test('a percentile is a value that was measured: the nearest rank', t => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  const table: [number[], number, number][] = [
    [hundred, 50, 50],
    [hundred, 99, 99],
    [hundred, 100, 100],
    [[7], 1, 7],
    [[3, 1, 2], 50, 2],
    [[3, 1, 2], 99, 3],
    [[10, 2], 50, 2],
    [[10, 9, 100], 34, 10],
  ]
  for (const [values, p, expected] of table)
    t.equal(percentile(values, p), expected, `p${p} of ${values.length} values`)
  t.throws(() => percentile([], 50), RangeError, 'of nothing there is none')
  for (const p of [0, -1, 101, Number.NaN]) t.throws(() => percentile([1], p), RangeError, `p${p}`)
  t.end()
})

t.test('a median is the middle value, or lies between the two middle ones', t => {
  const table: [number[], number][] = [
    [[5], 5],
    [[9, 1, 5], 5],
    [[4, 1, 3, 2], 2.5],
    [[1, 1, 1_000], 1],
    [[-10, -2], -6],
    // as text, 10 would come before 9
    [[10, 9, 8], 9],
  ]
  for (const [values, expected] of table) t.equal(median(values), expected, values.join())
  t.throws(() => median([]), RangeError)
  t.end()
})

t.test('a spread is the median with the smallest and the largest', t => {
  t.same(spreadOf([3, 1, 2]), { median: 2, low: 1, high: 3, count: 3 })
  t.same(spreadOf([4]), { median: 4, low: 4, high: 4, count: 1 })
  const values = [2, 1]
  spreadOf(values)
  t.same(values, [2, 1], 'and leaves what it was given alone')
  t.throws(() => spreadOf([]), RangeError)
  t.end()
})

t.test('ratios are taken repetition by repetition, not between medians', t => {
  const ratios = ratiosOf([1, 20, 3], [2, 10, 1])
  t.same(ratios, [0.5, 2, 3])
  t.equal(spreadOf(ratios).median, 2)
  t.throws(() => ratiosOf([1], [1, 2]), RangeError)
  t.end()
})

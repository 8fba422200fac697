import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { figure } from '../../bench/report/figure.js'
import { keepRun, lastFigures, type Run } from '../../bench/report/keep.js'
import { markdownTable, textTable } from '../../bench/report/table.js'

t.test('a goal is met by the median, of the value or of the ratio side by side', t => {
  const base = { id: 'x.y', title: 'a figure', unit: 'ms', values: [1, 2, 30] }
  const baseline = { name: 'other', values: [1, 1, 60] }
  const table: [string, Parameters<typeof figure>[0], boolean | undefined][] = [
    ['no goal', base, undefined],
    ['at most, met', { ...base, goal: { of: 'value', is: 'at most', limit: 2 } }, true],
    ['at most, missed', { ...base, goal: { of: 'value', is: 'at most', limit: 1.9 } }, false],
    ['below, missed at the limit itself', { ...base, goal: { of: 'value', is: 'below', limit: 2 } }, false],
    ['at least, met', { ...base, goal: { of: 'value', is: 'at least', limit: 2 } }, true],
    ['at least, missed', { ...base, goal: { of: 'value', is: 'at least', limit: 2.1 } }, false],
    ['ratio 1 at most 1', { ...base, baseline, goal: { of: 'ratio', is: 'at most', limit: 1 } }, true],
    ['ratio 1 at most 0.9', { ...base, baseline, goal: { of: 'ratio', is: 'at most', limit: 0.9 } }, false],
  ]
  for (const [name, parts, met] of table) t.equal(figure(parts).met, met, name)
  t.throws(() => figure({ ...base, goal: { of: 'ratio', is: 'at most', limit: 1 } }), RangeError, 'a ratio of nothing')
  t.end()
})

t.test('the last run is found by the id of the figure, and a change beyond both spreads is marked', t => {
  const folder = mkdtempSync(join(tmpdir(), 'grail-bench-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  t.equal(lastFigures(join(folder, 'absent')).size, 0, 'before the first run there is none')
  const run = (at: string, values: number[], id = 'a.b') =>
    keepRun(folder, {
      at,
      long: false,
      machine: {} as Run['machine'],
      seconds: {},
      failed: {},
      figures: [figure({ id, title: 'a', unit: 'ms', values })],
    })
  run('2026-01-02T00:00:00.000Z', [10, 11, 12])
  run('2026-01-01T00:00:00.000Z', [1, 1, 1])
  run('2026-01-03T00:00:00.000Z', [5], 'other')
  writeFileSync(join(folder, '2026-01-04.json'), '{"figures": [')
  const last = lastFigures(folder)
  t.equal(last.get('a.b')?.value.median, 11, 'the newest run that has the figure')
  const now = (values: number[]) => textTable([figure({ id: 'a.b', title: 'a', unit: 'ms', values })], last)
  t.match(now([12, 13, 14]), /\+18 %$/m, 'spreads that touch are no change to speak of')
  t.match(now([22, 23, 24]), /\+109 % !$/m)
  t.end()
})

t.test('a page shows the same figures as the terminal', t => {
  const figures = [
    figure({
      id: 'a.b',
      title: 'a',
      unit: 'ms',
      values: [1, 2, 3],
      baseline: { name: 'Redis', values: [2, 2, 2] },
      goal: { of: 'ratio', is: 'at most', limit: 1.3 },
    }),
  ]
  t.match(markdownTable(figures).split('\n').at(-1), '| a | 2 (1–3) ms | 2 (2–2) Redis | 1 (0.5–1.5) | ≤ 1.3 × | yes |')
  t.match(textTable(figures), /a +2 \(1–3\) ms +2 \(2–2\) Redis +1 \(0.5–1.5\) +≤ 1.3 × +yes/)
  t.end()
})

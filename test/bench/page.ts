import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { figure } from '../../bench/report/figure.js'
import type { MachineFacts } from '../../bench/report/machine.js'
import { publish } from '../../bench/report/publish.js'
import type { Part } from '../../bench/report/published.js'

const MACHINE: MachineFacts = {
  cpu: 'a CPU',
  cores: 2,
  memoryBytes: 4 * 1024 ** 3,
  kernel: '6.1',
  node: '20.0.0',
  natsServer: '2.9.0',
  redis: '7.0.0',
  pyarrow: '22.0.0',
  commit: 'abc',
  load: 0.1,
}
const SECTIONS = [
  { name: 'first', about: 'the first one' },
  { name: 'second', about: 'the second one' },
]

function part(at: string, values: Record<string, number>, pictures: string[] = [], machine = MACHINE): Part {
  return {
    ...{ at, machine, seconds: 12.3 },
    figures: Object.entries(values).map(([id, value]) =>
      figure({
        id,
        title: `title of ${id}`,
        unit: 'ms',
        values: [value],
        goal: { of: 'value', is: 'below', limit: 10 },
      }),
    ),
    pictures: pictures.map(name => ({ file: `${name}.svg`, title: `picture ${name}` })),
  }
}

const drawn = ({ pictures }: Part) => pictures.map(picture => ({ ...picture, svg: `<svg>${picture.title}</svg>` }))

t.test('every benchmark puts its own run on the page and leaves the others there', t => {
  const folder = mkdtempSync(join(tmpdir(), 'grail-page-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const page = join(folder, 'performance.md')
  writeFileSync(
    page,
    '# Performance\n\nby hand\n\n<!-- figures: written by make bench PAGE=1 -->\nold\n<!-- end of figures -->\n\nmore by hand\n',
  )
  mkdirSync(join(folder, 'performance'))
  const put = (name: string, form: 'day' | 'long', one: Part) => publish(page, SECTIONS, name, form, one, drawn(one))
  const text = () => readFileSync(page, 'utf8')
  const pictures = () =>
    readdirSync(join(folder, 'performance'))
      .filter(name => name.endsWith('.svg'))
      .sort((a, b) => a.localeCompare(b))

  put('second', 'day', part('2026-01-01T00:00:00Z', { 'second.a': 5, 'second.gone': 1 }, ['s']))
  put('first', 'day', part('2026-01-02T00:00:00Z', { 'first.a': 20 }, ['f']))
  t.match(text(), /^# Performance\n\nby hand\n/, 'what stands around the figures stays')
  t.match(text(), /\n\nmore by hand\n$/)
  t.notMatch(text(), /\nold\n/)
  t.match(
    text(),
    /### first[\s\S]*title of first\.a[\s\S]*### second[\s\S]*title of second\.a/,
    'in the order of the suite',
  )
  t.match(text(), /\| title of first\.a \| 20 ms \| < 10 ms \| \*\*no\*\* \|/, 'a goal that was missed is said to be')
  t.match(text(), /\| title of second\.a \| 5 ms \| < 10 ms \| yes \|/)
  t.match(text(), /!\[picture f\]\(performance\/f\.svg\)/)
  t.match(text(), /All on 2 cores of a CPU/)
  t.equal(text().match(/2 cores of a CPU/g)?.length, 1, 'one machine is described once')

  put('second', 'day', part('2026-01-03T00:00:00Z', { 'second.a': 6 }, ['new']))
  t.match(text(), /title of second\.a \| 6 ms/)
  t.notMatch(text(), /second\.gone/, 'a figure that is measured no more is gone')
  t.match(text(), /title of first\.a \| 20 ms/, 'another benchmark keeps its figures')
  t.same(pictures(), ['f.svg', 'new.svg'], 'and so with pictures')

  put('first', 'long', part('2026-01-04T00:00:00Z', { 'first.a': 8, 'first.long': 3 }, ['f', 'l']))
  t.match(text(), /title of first\.a \| 8 ms/, 'the long form measures all that the other one does')
  put('first', 'day', part('2026-01-05T00:00:00Z', { 'first.a': 9 }, ['f'], { ...MACHINE, node: '22.0.0' }))
  t.match(text(), /title of first\.a \| 9 ms/)
  t.match(
    text(),
    /2026-01-04[\s\S]*title of first\.long \| 3 ms/,
    'and what it alone measures stays, with its own date',
  )
  t.notMatch(text(), /first\.a \| 8 ms/)
  t.same(pictures(), ['f.svg', 'l.svg', 'new.svg'])
  t.match(text(), /2026-01-05[^\n]*on 2 cores of a CPU[^\n]*Node 22/, 'another machine is told apart')
  t.match(text(), /Where nothing else is said, on 2 cores of a CPU[^\n]*Node 20/, 'and the one of most figures once')
  t.equal(text().match(/2 cores of a CPU/g)?.length, 2)
  t.end()
})

t.test('a page without a place for figures is left alone', t => {
  const folder = mkdtempSync(join(tmpdir(), 'grail-page-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const page = join(folder, 'performance.md')
  writeFileSync(page, 'by hand\n')
  t.throws(
    () => publish(page, SECTIONS, 'first', 'day', part('2026-01-01T00:00:00Z', { 'first.a': 1 }), []),
    /no place/,
  )
  t.equal(readFileSync(page, 'utf8'), 'by hand\n')
  t.end()
})

import t from 'tap'
import { type LineChart, lineChart } from '../../bench/report/line-chart.js'
import { element } from '../../bench/report/svg.js'
import { timeline } from '../../bench/report/timeline.js'

/** Throws unless every tag is closed in order, every attribute is quoted, and no text holds a bare & or <. */
function checkWellFormed(xml: string): string[] {
  const open: string[] = []
  const names: string[] = []
  let at = 0
  const tag = /<(\/?)([a-z]+)((?: [\w:-]+="[^"<]*")*)(\/?)>/y
  while (at < xml.trimEnd().length) {
    if (xml[at] !== '<') {
      const end = xml.indexOf('<', at)
      const said = xml.slice(at, end < 0 ? undefined : end)
      if (/&(?!amp;|lt;|gt;|quot;)/.test(said)) throw new Error(`bare & in ${said}`)
      at += said.length
      continue
    }
    tag.lastIndex = at
    const found = tag.exec(xml)
    if (!found) throw new Error(`no tag: ${xml.slice(at, at + 80)}`)
    const [whole, closing, name = '', attributes = '', empty] = found
    if (/&(?!amp;|lt;|gt;|quot;)/.test(attributes)) throw new Error(`bare & in ${attributes}`)
    if (/NaN|undefined|Infinity/.test(attributes)) throw new Error(`no number: ${whole}`)
    if (closing && open.pop() !== name) throw new Error(`${whole} closes another element`)
    if (!closing && !empty) open.push(name)
    names.push(name)
    at += whole.length
  }
  if (open.length > 0) throw new Error(`never closed: ${open.join()}`)
  return names
}

const chart: LineChart = {
  title: 'latency & "load" <p50>',
  x: { label: 'claimers', log: true, ticks: [1, 8, 32] },
  y: { label: 'ms', log: true },
  series: [
    {
      name: 'NATS',
      points: [
        [1, 0.1],
        [8, 0.5],
        [32, 2],
      ],
    },
    {
      name: 'NATS p99',
      points: [
        [1, 1],
        [8, 3],
        [32, 20],
      ],
      dashed: true,
    },
  ],
}

t.test('the check of well-formedness itself finds what is not', t => {
  const broken = [
    '<a>',
    '<a></b>',
    '<a b=1/>',
    '<a b="1"c="2"/>',
    '<a>&</a>',
    '<a b="&"/>',
    '<a b="NaN"/>',
    '<a><b></a></b>',
  ]
  for (const xml of broken) t.throws(() => checkWellFormed(xml), Error, xml)
  t.same(checkWellFormed('<a b="1"><b/>x &amp; y</a>'), ['a', 'b', 'a'])
  t.end()
})

t.test('a chart is well-formed XML with a curve per series', t => {
  const table: [string, LineChart][] = [
    ['logarithmic', chart],
    [
      'linear, with a limit',
      { ...chart, x: { label: 'x' }, y: { label: 'y' }, limit: { at: 300, name: '< 300 & less' } },
    ],
    ['a single point', { ...chart, series: [{ name: 'one', points: [[4, 4]] }] }],
    [
      'only zeroes',
      {
        ...chart,
        x: { label: 'x' },
        y: { label: 'y' },
        series: [
          {
            name: '0',
            points: [
              [0, 0],
              [1, 0],
            ],
          },
        ],
      },
    ],
  ]
  for (const [name, parts] of table) {
    const names = checkWellFormed(lineChart(parts))
    t.equal(names.filter(tag => tag === 'polyline').length, parts.series.length, name)
  }
  t.throws(() => lineChart({ ...chart, series: [] }), RangeError, 'nothing to draw')
  t.end()
})

t.test('a timeline is well-formed XML with a bar per stretch', t => {
  const svg = timeline({
    title: 'a window',
    seconds: 60,
    states: ['generating', 'staging'],
    marks: [{ at: 55, name: 'draining ends' }],
    rows: [
      {
        name: 'generator-0',
        stretches: [
          { from: 0, to: 10, state: 'generating' },
          { from: 10, to: 11, state: 'staging' },
        ],
      },
      { name: 'generator-1', stretches: [] },
    ],
  })
  const bars = checkWellFormed(svg).filter(tag => tag === 'rect').length
  // the page, two of the legend, a track per row
  t.equal(bars - 1 - 2 - 2, 2)
  t.end()
})

t.test('what a picture says cannot break out of it', t => {
  t.equal(element('text', { 'data-x': '"><script>' }), '<text data-x="&quot;&gt;&lt;script&gt;"/>')
  t.end()
})

import { COLOURS, element, FAINT, INK, picture, text } from './svg.js'
import { short } from './table.js'

export interface Axis {
  label: string
  /** Logarithmic: all values above 0. */
  log?: boolean
  /** Where lines and numbers stand; chosen when not given. */
  ticks?: readonly number[]
}

export interface Series {
  name: string
  points: readonly (readonly [number, number])[]
  /** Drawn as dashes, in the colour of the series before. */
  dashed?: boolean
}

export interface LineChart {
  title: string
  x: Axis
  y: Axis
  series: readonly Series[]
  /** A limit that must not be passed, as a line of its own. */
  limit?: { at: number; name: string }
}

const WIDTH = 760
const HEIGHT = 380
const PLOT = { left: 70, right: 560, top: 40, bottom: 330 }

/** Curves over one another, with axes, a grid and a legend. @throws RangeError when there is nothing to draw */
export function lineChart({ title, x, y, series, limit }: LineChart): string {
  const points = series.flatMap(({ points }) => points)
  if (points.length === 0) throw new RangeError(`nothing to draw for "${title}"`)
  const xs = scale(
    x,
    points.map(([value]) => value),
    PLOT.left,
    PLOT.right,
    false,
  )
  const ys = scale(y, [...points.map(([, value]) => value), ...(limit ? [limit.at] : [])], PLOT.bottom, PLOT.top, true)

  const grid = [
    ...xs.ticks.flatMap(tick => [
      element('line', { x1: xs.at(tick), x2: xs.at(tick), y1: PLOT.top, y2: PLOT.bottom, stroke: FAINT }),
      text(xs.at(tick), PLOT.bottom + 18, short(tick), { 'text-anchor': 'middle', fill: INK }),
    ]),
    ...ys.ticks.flatMap(tick => [
      element('line', { x1: PLOT.left, x2: PLOT.right, y1: ys.at(tick), y2: ys.at(tick), stroke: FAINT }),
      text(PLOT.left - 6, ys.at(tick) + 4, short(tick), { 'text-anchor': 'end', fill: INK }),
    ]),
    text((PLOT.left + PLOT.right) / 2, HEIGHT - 12, x.label, { 'text-anchor': 'middle', fill: INK }),
    text(0, 0, y.label, {
      'text-anchor': 'middle',
      fill: INK,
      transform: `translate(18 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)`,
    }),
  ]
  let colour = -1
  const curves = series.flatMap(({ name, points, dashed }, i) => {
    if (!dashed || colour < 0) colour++
    const stroke = COLOURS[colour % COLOURS.length] as string
    const dash: Record<string, string> = dashed ? { 'stroke-dasharray': '5 4' } : {}
    const legendY = PLOT.top + 14 + i * 20
    return [
      element('polyline', {
        points: points.map(([a, b]) => `${xs.at(a).toFixed(1)},${ys.at(b).toFixed(1)}`).join(' '),
        fill: 'none',
        stroke,
        'stroke-width': 2,
        ...dash,
      }),
      element('line', { x1: 575, x2: 605, y1: legendY - 4, y2: legendY - 4, stroke, 'stroke-width': 2, ...dash }),
      text(611, legendY, name, { fill: INK }),
    ]
  })
  const line = limit
    ? [
        element('line', {
          x1: PLOT.left,
          x2: PLOT.right,
          y1: ys.at(limit.at),
          y2: ys.at(limit.at),
          stroke: INK,
          'stroke-dasharray': '2 3',
        }),
        text(PLOT.right - 4, ys.at(limit.at) - 5, limit.name, { 'text-anchor': 'end', fill: INK }),
      ]
    : []
  return picture(WIDTH, HEIGHT, title, ...grid, ...line, ...curves)
}

function scale({ log = false, ticks }: Axis, values: readonly number[], from: number, to: number, zero: boolean) {
  const place = log ? Math.log : (value: number) => value
  const chosen = ticks ?? (log ? decades(values) : steps(values, zero))
  const low = place(Math.min(...chosen, ...values))
  const high = place(Math.max(...chosen, ...values))
  return {
    ticks: chosen,
    at: (value: number) => from + ((place(value) - low) / (high - low || 1)) * (to - from),
  }
}

/** Powers of ten around the values. */
function decades(values: readonly number[]): number[] {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  return Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i))
}

/** About five round steps over the values, from 0 when `zero`. */
function steps(values: readonly number[], zero: boolean): number[] {
  const low = zero ? Math.min(0, ...values) : Math.min(...values)
  const high = Math.max(...values)
  const rough = (high - low) / 5 || 1
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5, 10].find(times => times * power >= rough) as number) * power
  const first = Math.floor(low / step)
  return Array.from({ length: Math.ceil(high / step) - first + 1 }, (_, i) => (first + i) * step)
}

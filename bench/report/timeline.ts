import { COLOURS, element, FAINT, INK, picture, text } from './svg.js'

/** A stretch of time in one state, seconds from the beginning of the picture. */
export interface Stretch {
  from: number
  to: number
  state: string
}

export interface Timeline {
  title: string
  rows: readonly { name: string; stretches: readonly Stretch[] }[]
  /** Every state, in the order of the legend. */
  states: readonly string[]
  /** Moments that matter, seconds. */
  marks: readonly { at: number; name: string }[]
  /** Length of the picture, seconds. */
  seconds: number
}

const WIDTH = 960
const LEFT = 110
const RIGHT = 940
const TOP = 66
const ROW = 22
/** Every mark's name stands in a line of its own, so that near ones do not cover each other. */
const MARK_LINE = 15

/** What everybody did when: a row each, a colour for each state. */
export function timeline({ title, rows, states, marks, seconds }: Timeline): string {
  const at = (second: number) => LEFT + (second / seconds) * (RIGHT - LEFT)
  const colour = (state: string) => COLOURS[states.indexOf(state) % COLOURS.length] ?? FAINT
  const bottom = TOP + rows.length * ROW
  const step = [1, 2, 5, 10, 20, 60, 120].find(step => seconds / step <= 14) ?? 300
  const ticks = Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => i * step)
  const legend = states.flatMap((state, i) => [
    element('rect', { x: LEFT + i * 120, y: 36, width: 12, height: 12, fill: colour(state) }),
    text(LEFT + i * 120 + 17, 47, state, { fill: INK }),
  ])
  const drawn = rows.flatMap(({ name, stretches }, row) => [
    text(LEFT - 8, TOP + row * ROW + 15, name, { 'text-anchor': 'end', fill: INK }),
    element('rect', { x: LEFT, y: TOP + row * ROW + 3, width: RIGHT - LEFT, height: ROW - 6, fill: '#f4f4f4' }),
    ...stretches.map(({ from, to, state }) =>
      element('rect', {
        x: at(from),
        y: TOP + row * ROW + 3,
        width: Math.max(0.5, at(to) - at(from) - 0.5),
        height: ROW - 6,
        fill: colour(state),
      }),
    ),
  ])
  const scale = ticks.flatMap(tick => [
    element('line', { x1: at(tick), x2: at(tick), y1: bottom, y2: bottom + 4, stroke: INK }),
    text(at(tick), bottom + 17, `${tick} s`, { 'text-anchor': 'middle', fill: INK }),
  ])
  const marked = marks.flatMap(({ at: second, name }, i) => {
    const y = bottom + 34 + i * MARK_LINE
    return [
      element('line', { x1: at(second), x2: at(second), y1: TOP, y2: y - 10, stroke: INK, 'stroke-dasharray': '3 2' }),
      text(at(second), y, name, { 'text-anchor': second > seconds * 0.8 ? 'end' : 'middle', fill: INK }),
    ]
  })
  return picture(WIDTH, bottom + 36 + marks.length * MARK_LINE, title, ...legend, ...drawn, ...scale, ...marked)
}

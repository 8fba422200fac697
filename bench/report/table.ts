import type { Spread } from '../measure/statistics.js'
import type { Figure, Goal } from './figure.js'

/** Digits worth printing: three significant ones, whole numbers in full. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (Math.abs(value) >= 100) return value.toFixed(0)
  return String(Number(value.toPrecision(3)))
}

function spread({ median, low, high, count }: Spread): string {
  return count === 1 ? short(median) : `${short(median)} (${short(low)}–${short(high)})`
}

function wanted({ of, is, limit }: Goal, unit: string): string {
  const sign = { 'at most': '≤', below: '<', 'at least': '≥' }[is]
  return of === 'ratio' ? `${sign} ${short(limit)} ×` : `${sign} ${short(limit)}${unit === '' ? '' : ` ${unit}`}`
}

/** Change of the median since the last run, per cent; marked where the two spreads do not touch. */
function change(now: Figure, last: Figure | undefined): string {
  if (!last || last.unit !== now.unit || last.value.median === 0) return ''
  const percent = (now.value.median / last.value.median - 1) * 100
  const apart = now.value.low > last.value.high || now.value.high < last.value.low
  return `${percent >= 0 ? '+' : ''}${percent.toFixed(0)} %${apart && Math.abs(percent) >= 1 ? ' !' : ''}`
}

const HEAD = ['figure', 'measured', 'baseline', 'ratio', 'goal', 'met', 'last run']

/** Cells of every figure, in the order of `HEAD`. */
function cells(figures: readonly Figure[], last: ReadonlyMap<string, Figure>): string[][] {
  return figures.map(now => [
    now.title,
    `${spread(now.value)}${now.unit === '' ? '' : ` ${now.unit}`}`,
    now.baseline ? `${spread(now.baseline.value)} ${now.baseline.name}` : '',
    now.ratio ? spread(now.ratio) : '',
    now.goal ? wanted(now.goal, now.unit) : '',
    now.met === undefined ? '' : now.met ? 'yes' : 'NO',
    change(now, last.get(now.id)),
  ])
}

/** For a terminal: median (lowest–highest), columns aligned. */
export function textTable(figures: readonly Figure[], last: ReadonlyMap<string, Figure> = new Map()): string {
  const rows = [HEAD, ...cells(figures, last)]
  const widths = HEAD.map((_, i) => Math.max(...rows.map(row => [...(row[i] as string)].length)))
  const line = (row: string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] as number))
      .join('  ')
      .trimEnd()
  return [line(HEAD), widths.map(width => '─'.repeat(width)).join('  '), ...rows.slice(1).map(line)].join('\n')
}

/** For the page. */
export function markdownTable(figures: readonly Figure[]): string {
  const head = HEAD.slice(0, -1)
  const rows = cells(figures, new Map()).map(row => `| ${row.slice(0, -1).join(' | ')} |`)
  return [`| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...rows].join('\n')
}

/** For the page: what has a goal, and whether it is met. */
export function goalTable(figures: readonly Figure[]): string {
  const judged = figures.filter(({ goal }) => goal !== undefined)
  const rows = judged.map(({ title, unit, value, ratio, goal, met }) => {
    const reached =
      goal?.of === 'ratio' && ratio ? `${spread(ratio)} ×` : `${spread(value)}${unit === '' ? '' : ` ${unit}`}`
    return `| ${title.trim()} | ${reached} | ${goal ? wanted(goal, unit) : ''} | ${met ? 'yes' : '**no**'} |`
  })
  return ['| figure | reached | goal | met |', '|---|---|---|---|', ...rows].join('\n')
}

/** An SVG element; attribute values and texts are escaped, children are elements. */
export function element(
  name: string,
  attributes: Record<string, string | number>,
  ...children: readonly string[]
): string {
  const given = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${escaped(typeof value === 'number' ? rounded(value) : value)}"`)
    .join('')
  return children.length === 0 ? `<${name}${given}/>` : `<${name}${given}>${children.join('')}</${name}>`
}

export function text(x: number, y: number, said: string, attributes: Record<string, string | number> = {}): string {
  return element('text', { x, y, ...attributes }, escaped(said))
}

export const INK = '#222'
export const FAINT = '#ddd'
/** Told apart in black and white too, by their lightness. */
export const COLOURS = ['#1b6ca8', '#c8553d', '#4f9d69', '#8e6bbf', '#c9a227', '#5c6b73'] as const

/** A whole picture on white, readable on a dark page too. */
export function picture(width: number, height: number, title: string, ...children: readonly string[]): string {
  return `${element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      'font-family': 'sans-serif',
      'font-size': 12,
      role: 'img',
    },
    element('title', {}, escaped(title)),
    element('rect', { width, height, fill: '#fff' }),
    text(width / 2, 22, title, { 'text-anchor': 'middle', 'font-size': 15, fill: INK }),
    ...children,
  )}\n`
}

function rounded(value: number): string {
  return String(Number(value.toFixed(2)))
}

function escaped(said: string): string {
  return said.replace(/[&<>"]/g, char => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[char] as string)
}

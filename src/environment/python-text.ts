/** len(text): code points, not UTF-16 units. */
export function pythonLength(text: string): number {
  let length = text.length
  for (let i = 0; i < text.length - 1; i++) {
    if (!isHighSurrogate(text.charCodeAt(i)) || !isLowSurrogate(text.charCodeAt(i + 1))) continue
    length--
    i++
  }
  return length
}

const isHighSurrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdbff
const isLowSurrogate = (unit: number) => unit >= 0xdc00 && unit <= 0xdfff

/** Further characters that Python's re.IGNORECASE takes for these ASCII letters. JavaScript's `i` flag differs (dotted and dotless i). */
const ALSO_MATCHES: Record<string, string> = { i: '\\u0130\\u0131', k: '\\u212a', s: '\\u017f' }

/** Source of a regular expression that matches `literal` as Python's re.IGNORECASE does on text. ASCII literals only. */
export function ignoringCase(literal: string): string {
  let source = ''
  for (const char of literal) {
    if (/[a-z]/i.test(char)) {
      const lower = char.toLowerCase()
      source += `[${lower}${char.toUpperCase()}${ALSO_MATCHES[lower] ?? ''}]`
    } else source += char.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
  }
  return source
}

/**
 * Text rules of CPython's `str` and `re` where JavaScript's differ. Rewards are compared with what Python computed, so
 * white space, case and lengths must be Python's.
 */

/** Characters of Python's `\s` (Unicode) and of str.strip(), as the inside of a character class. JavaScript's `\s` lacks U+001C–1F and U+0085 and has U+FEFF. */
export const PYTHON_SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'

const LEADING_SPACE = new RegExp(`^[${PYTHON_SPACE}]+`)
const IS_SPACE = new RegExp(`[${PYTHON_SPACE}]`)

/** str.strip() without arguments. Linear in the text, also for long runs of white space inside it. */
export function pythonStrip(text: string): string {
  let end = text.length
  while (end > 0 && IS_SPACE.test(text[end - 1]!)) end--
  return text.slice(0, end).replace(LEADING_SPACE, '')
}

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

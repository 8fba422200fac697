import { PYTHON_WHITESPACE, strip } from '../protocol/python-text.js'

/** First number of a text: sign, digits of any script, and one group after a point or comma. */
const NUMBER = /[-+]?\p{Nd}+(?:[.,]\p{Nd}+)?/u
const NUMBERS = new RegExp(NUMBER.source, 'gu')
const NUMERIC_ONLY = /^[-+]?[\p{Nd}.,]+$/u
/** Python's `.` stops at line feeds only. */
const MARKED_ANSWERS = new RegExp(`####[${PYTHON_WHITESPACE}]*([^\\n]+)`, 'g')
/** Characters at which str.splitlines() parts a text. */
const LINE_BREAK = '\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029'
const LINE_BREAKS = new RegExp(`\\r\\n|[${LINE_BREAK}]`)
const SPACE_OR_POINT = new RegExp(`[${PYTHON_WHITESPACE}.]`)

/** The number that a completion's solution gives, '' without one, and whether there is nothing else in it (spaces aside) (grail/environments/gsm8k_env.py:28-100, 54d6342). */
export function numberIn(solution: string): { number: string; alone: boolean } {
  const inside = strip(solution)
  const found = NUMBER.exec(inside)
  if (!found) return { number: '', alone: false }
  return { number: found[0].replaceAll(',', ''), alone: NUMERIC_ONLY.test(inside.replaceAll(' ', '')) }
}

/** The answer in a row's worked solution: after the last `####`, else its last number, else its last line (grail/environments/gsm8k_env.py, 54d6342). */
export function goldAnswer(solution: string): string {
  const marked = [...solution.matchAll(MARKED_ANSWERS)].at(-1)
  if (marked) return strip(marked[1]!)
  const number = solution.match(NUMBERS)?.at(-1)
  if (number !== undefined) return number.replaceAll(',', '')
  return solution.split(LINE_BREAKS).map(strip).filter(Boolean).at(-1) ?? ''
}

/** Form in which two answers are compared: lower case, without white space around and points at the end. Thousands separators stay: gold "1,234" equals no answer, as in the reference. */
export function comparable(answer: string): string {
  const text = strip(answer).toLowerCase()
  let end = text.length
  while (end > 0 && SPACE_OR_POINT.test(text[end - 1]!)) end--
  return text.slice(0, end)
}

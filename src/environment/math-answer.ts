import { pythonFloat } from '../protocol/python-number.js'
import { PYTHON_WHITESPACE, strip } from '../protocol/python-text.js'

const WHITESPACE_RUNS = new RegExp(`[${PYTHON_WHITESPACE}]+`, 'g')
/** \left and \right as whole commands: no letter, digit or underscore follows. */
const SIZED_DELIMITERS = /\\(?:left|right)(?![\p{L}\p{N}_])/gu
const BOXED = '\\boxed{'
/** How far two numbers may be apart. */
const NUMERIC_TOLERANCE = 1e-6
const PLAIN_NUMBER = /^[-+]?\d+(?:\.\d*)?$/

/** An answer without LaTeX's variants of spelling: fractions, sized delimiters, spacing, white space, case (grail/environments/math_hendrycks_env.py:_normalize_latex_answer, 54d6342). */
export function normalizedLatex(answer: string): string {
  return strip(answer)
    .replaceAll('\\dfrac', '\\frac')
    .replaceAll('\\tfrac', '\\frac')
    .replaceAll('\\cfrac', '\\frac')
    .replace(SIZED_DELIMITERS, '')
    .replaceAll('\\,', '')
    .replaceAll('\\!', '')
    .replaceAll('\\;', '')
    .replaceAll('\\:', '')
    .replace(WHITESPACE_RUNS, '')
    .toLowerCase()
}

/** Tells whether two normalised answers are the same expression. */
export type SymbolicJudge = (predicted: string, gold: string, signal: AbortSignal) => Promise<boolean>

/**
 * Are two answers equal: as text after normalisation, else as expressions, else as numbers (grail/environments/math_hendrycks_env.py:_math_answers_equal, 54d6342)?
 * Two plain numbers never need the symbolic judge: where it finds them equal, so does the comparison of numbers.
 */
export async function answersEqual(
  predicted: string,
  gold: string,
  symbolic: SymbolicJudge,
  signal: AbortSignal,
): Promise<boolean> {
  if (predicted === '' || gold === '') return false
  const [left, right] = [normalizedLatex(predicted), normalizedLatex(gold)]
  if (left === right) return true
  const plain = PLAIN_NUMBER.test(left) && PLAIN_NUMBER.test(right)
  if (!plain && (await symbolic(left, right, signal))) return true
  return Math.abs(numberOf(left) - numberOf(right)) < NUMERIC_TOLERANCE
}

/** Python's float() of a text, NaN where it raises. */
function numberOf(text: string): number {
  try {
    return pythonFloat(text)
  } catch {
    return Number.NaN
  }
}

/** What the first \boxed{…} of a solution holds, '' without a complete one: the answer a row is given (grail/environments/providers.py:_extract_boxed_answer, 54d6342). */
export function firstBoxed(solution: string): string {
  const start = solution.indexOf(BOXED)
  return start < 0 ? '' : (insideBraces(solution, start + BOXED.length) ?? '')
}

/** What the last \boxed{…} holds: what success is measured by when the row has no answer (grail/environments/math_hendrycks_env.py:_extract_boxed_answer, 54d6342). */
export function lastBoxed(solution: string): string {
  const start = solution.lastIndexOf(BOXED)
  return start < 0 ? '' : (insideBraces(solution, start + BOXED.length) ?? '')
}

function insideBraces(text: string, start: number): string | undefined {
  let depth = 1
  for (let i = start; i < text.length; i++) {
    if (text[i] === '{') depth++
    else if (text[i] === '}' && --depth === 0) return text.slice(start, i)
  }
  return undefined
}

import { fromDecimal, ONE } from './fraction.js'
import { constant, isZero, negative, type Polynomial, product, sum, symbol } from './polynomial.js'

/** A quotient of polynomials. */
interface Quotient {
  over: Polynomial
  under: Polynomial
}

const WHOLE = constant(ONE)
const TOKEN = /\*\*|[-+*/()]|\d+\.?\d*|\.\d+|[a-z_][a-z0-9_]*/y
/** Characters of an expression and size of an exponent that are still looked at. */
const MAX_CHARACTERS = 500
const MAX_EXPONENT = 32
const MAX_DEPTH = 50

/**
 * Are two Python expressions the same quotient of polynomials? For machines without sympy: numbers, names, + − * / **
 * with small whole exponents, and parentheses; decimals count as exact.
 * @returns undefined when one of them holds anything else (functions, roots, ^, implied products, LaTeX), or grows too large
 */
export function sameExpression(a: string, b: string): boolean | undefined {
  try {
    const [left, right] = [parse(a), parse(b)]
    return isZero(sum(product(left.over, right.under), negative(product(right.over, left.under))))
  } catch {
    return undefined
  }
}

/** Throws on anything outside the grammar. */
function parse(text: string): Quotient {
  if (text.length > MAX_CHARACTERS) throw new Error('too long')
  const tokens = tokenize(text)
  let at = 0
  let depth = 0
  const take = (...wanted: string[]) => (wanted.includes(tokens[at] ?? '') ? tokens[at++] : undefined)

  function total(): Quotient {
    let value = term()
    for (let sign = take('+', '-'); sign; sign = take('+', '-')) {
      const next = term()
      const over = product(sign === '+' ? next.over : negative(next.over), value.under)
      value = { over: sum(product(value.over, next.under), over), under: product(value.under, next.under) }
    }
    return value
  }
  function term(): Quotient {
    let value = signed()
    for (let sign = take('*', '/'); sign; sign = take('*', '/')) {
      const next = sign === '*' ? signed() : inverse(signed())
      value = { over: product(value.over, next.over), under: product(value.under, next.under) }
    }
    return value
  }
  function signed(): Quotient {
    if (++depth > MAX_DEPTH) throw new Error('too deep')
    const sign = take('+', '-')
    const value = sign ? signed() : power()
    depth--
    return sign === '-' ? { over: negative(value.over), under: value.under } : value
  }
  function power(): Quotient {
    const base = atom()
    return take('**') ? raised(base, wholeNumber(signed())) : base
  }
  function atom(): Quotient {
    if (take('(')) {
      const value = total()
      if (!take(')')) throw new Error('unbalanced')
      return value
    }
    const token = tokens[at++]
    if (token === undefined || /^[-+*/)]/.test(token)) throw new Error('incomplete')
    if (/^[a-z_]/.test(token)) {
      if (tokens[at] === '(') throw new Error('a function')
      return { over: symbol(token), under: WHOLE }
    }
    return { over: constant(fromDecimal(token)), under: WHOLE }
  }

  const value = total()
  if (at < tokens.length) throw new Error('something is left over')
  return value
}

function tokenize(text: string): string[] {
  const tokens: string[] = []
  const pattern = new RegExp(TOKEN)
  while (pattern.lastIndex < text.length) {
    const token = pattern.exec(text)?.[0]
    if (token === undefined) throw new Error('a character outside the grammar')
    tokens.push(token)
  }
  return tokens
}

function inverse({ over, under }: Quotient): Quotient {
  if (isZero(over)) throw new Error('a division by zero')
  return { over: under, under: over }
}

function wholeNumber({ over, under }: Quotient): number {
  const divisor = under.get('')
  const value = over.get('')
  if (under.size !== 1 || divisor?.n !== divisor?.d || over.size > 1) throw new Error('not a whole exponent')
  if (isZero(over)) return 0
  if (value?.d !== 1n || value.n > MAX_EXPONENT || value.n < -MAX_EXPONENT)
    throw new Error('not a small whole exponent')
  return Number(value.n)
}

function raised(base: Quotient, exponent: number): Quotient {
  const factor = exponent < 0 ? inverse(base) : base
  let value: Quotient = { over: WHOLE, under: WHOLE }
  for (let i = 0; i < Math.abs(exponent); i++)
    value = { over: product(value.over, factor.over), under: product(value.under, factor.under) }
  return value
}

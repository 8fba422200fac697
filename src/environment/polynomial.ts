import { type Fraction, ONE, plus, times, ZERO } from './fraction.js'

/** A polynomial with exact coefficients: monomial (names with exponents, sorted, e.g. 'x^2 y^1') to coefficient; zeros are left out. */
export type Polynomial = ReadonlyMap<string, Fraction>

/** Terms and digits beyond which nothing is computed: an answer must not cost more than it is worth. */
const MAX_TERMS = 60
const MAX_MAGNITUDE = 2n ** 4_000n

/** The computation got out of hand. */
export class TooLarge extends Error {}

export const constant = (value: Fraction): Polynomial => new Map(value.n === 0n ? [] : [['', value]])
export const symbol = (name: string): Polynomial => new Map([[`${name}^1`, ONE]])

export function sum(a: Polynomial, b: Polynomial): Polynomial {
  const terms = new Map(a)
  for (const [monomial, coefficient] of b) add(terms, monomial, coefficient)
  return terms
}

export function product(a: Polynomial, b: Polynomial): Polynomial {
  const terms = new Map<string, Fraction>()
  for (const [left, p] of a) for (const [right, q] of b) add(terms, merged(left, right), times(p, q))
  return terms
}

export const negative = (a: Polynomial): Polynomial => product(a, constant({ n: -1n, d: 1n }))
export const isZero = (a: Polynomial): boolean => a.size === 0

function add(terms: Map<string, Fraction>, monomial: string, coefficient: Fraction): void {
  const total = plus(terms.get(monomial) ?? ZERO, coefficient)
  if (total.n === 0n) terms.delete(monomial)
  else terms.set(monomial, total)
  const { n, d } = total
  if (terms.size > MAX_TERMS || n > MAX_MAGNITUDE || n < -MAX_MAGNITUDE || d > MAX_MAGNITUDE)
    throw new TooLarge('the expression has too many terms or digits')
}

function merged(a: string, b: string): string {
  const exponents = new Map<string, number>()
  for (const factor of `${a} ${b}`.split(' ').filter(Boolean)) {
    const [name = '', exponent] = factor.split('^')
    exponents.set(name, (exponents.get(name) ?? 0) + Number(exponent))
  }
  return [...exponents]
    .sort(([x], [y]) => (x < y ? -1 : 1))
    .map(([name, exponent]) => `${name}^${exponent}`)
    .join(' ')
}

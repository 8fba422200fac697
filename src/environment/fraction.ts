/** An exact fraction; the denominator is positive and shares no factor with the numerator. */
export interface Fraction {
  n: bigint
  d: bigint
}

export const ZERO: Fraction = { n: 0n, d: 1n }
export const ONE: Fraction = { n: 1n, d: 1n }

function reduced(n: bigint, d: bigint): Fraction {
  let a = n < 0n ? -n : n
  let b = d
  while (b !== 0n) [a, b] = [b, a % b]
  return a === 0n ? ZERO : { n: n / a, d: d / a }
}

/** The exact value of a decimal text such as 12, 0.5 or .25. */
export function fromDecimal(text: string): Fraction {
  const [whole = '', after = ''] = text.split('.')
  return reduced(BigInt(`${whole}${after}` || '0'), 10n ** BigInt(after.length))
}

export const plus = (a: Fraction, b: Fraction): Fraction => reduced(a.n * b.d + b.n * a.d, a.d * b.d)
export const times = (a: Fraction, b: Fraction): Fraction => reduced(a.n * b.n, a.d * b.d)

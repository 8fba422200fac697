/** The double that Python's float.hex() wrote: `-0x1.8p+3`, `inf`, `nan`. Throws SyntaxError for anything else. */
export function fromFloatHex(text: string): number {
  if (text === 'nan') return Number.NaN
  if (text === 'inf') return Infinity
  if (text === '-inf') return -Infinity
  const match = /^(-?)0x([01])\.([0-9a-f]*)p([+-]\d+)$/.exec(text)
  if (!match) throw new SyntaxError(`not a hexadecimal float: ${text}`)
  const [, sign, whole, fraction = '', exponent] = match
  const mantissa = Number(BigInt(`0x${whole}${fraction}`))
  // two steps: 2^exponent alone can lie below the smallest double
  const scaled = (mantissa / 16 ** fraction.length) * 2 ** Math.max(Number(exponent), -1000)
  const value = Number(exponent) < -1000 ? scaled * 2 ** (Number(exponent) + 1000) : scaled
  return sign === '-' ? -value : value
}

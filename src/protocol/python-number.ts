import { stripAroundNumber } from './python-text.js'

/** Python refuses to read longer decimal texts as integers (sys.int_info.default_max_str_digits). */
const MAX_INTEGER_DIGITS = 4300

/** What a Python number can arrive as once JSON has been read. */
export type NumberLike = number | bigint | string | boolean | null | undefined

/**
 * Python's int(): floats are truncated toward zero, booleans are 0 and 1, text may carry white space, a sign and single
 * underscores. Throws RangeError where Python raises ValueError or OverflowError (bad text, NaN, infinity), TypeError
 * where it raises TypeError (null, objects).
 */
export function pythonInt(value: unknown): bigint {
  if (typeof value === 'bigint') return value
  if (typeof value === 'boolean') return value ? 1n : 0n
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new RangeError(`cannot convert ${value} to an integer`)
    return BigInt(Math.trunc(value))
  }
  if (typeof value !== 'string') throw new TypeError(`not a number: ${value === null ? 'null' : typeof value}`)
  const text = asciiDigits(stripAroundNumber(value))
  if (!/^[+-]?\d+(_\d+)*$/.test(text)) throw new RangeError(`not an integer: ${JSON.stringify(value.slice(0, 80))}`)
  const digits = text.replace(/^[+-]|_/g, '')
  if (digits.length > MAX_INTEGER_DIGITS) throw new RangeError(`an integer of ${digits.length} digits is too long`)
  const magnitude = BigInt(digits)
  return text.startsWith('-') ? -magnitude : magnitude
}

/**
 * Python's float(): text may carry white space, a sign, single underscores, an exponent, or be inf, infinity or nan in
 * any case. Throws RangeError where Python raises ValueError or OverflowError, TypeError where it raises TypeError.
 */
export function pythonFloat(value: unknown): number {
  if (typeof value === 'number') return value
  if (typeof value === 'boolean') return value ? 1 : 0
  if (typeof value === 'bigint') {
    const float = Number(value)
    if (!Number.isFinite(float)) throw new RangeError('integer too large to convert to a float')
    return float
  }
  if (typeof value !== 'string') throw new TypeError(`not a number: ${value === null ? 'null' : typeof value}`)
  const text = asciiDigits(stripAroundNumber(value)).toLowerCase()
  const word = /^([+-]?)(inf|infinity|nan)$/.exec(text)
  if (word) return word[2] === 'nan' ? Number.NaN : word[1] === '-' ? -Infinity : Infinity
  const number = /^[+-]?(?:\d+(_\d+)*(\.(\d+(_\d+)*)?)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/
  if (!number.test(text)) throw new RangeError(`not a float: ${JSON.stringify(value.slice(0, 80))}`)
  return Number(text.replaceAll('_', ''))
}

/** Python's repr() of a float: the shortest digits that read back equal, always with a point or an exponent. */
export function floatRepr(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  if (Object.is(value, -0)) return '-0.0'
  // toExponential() without digits gives as many as are needed to tell the value apart, as repr does
  const [mantissa = '0', exponentText = '0'] = value.toExponential().split('e')
  const exponent = Number(exponentText)
  if (exponent >= -4 && exponent < 16) {
    const plain = exponent >= 0 ? value.toFixed(0) : value.toString()
    const short = Number(plain) === value && !plain.includes('e') ? plain : value.toString()
    return short.includes('.') ? short : `${short}.0`
  }
  const size = Math.abs(exponent)
  return `${mantissa}e${exponent < 0 ? '-' : '+'}${size < 10 ? `0${size}` : size}`
}

/** Decimal digits of other scripts (Unicode Nd) as 0–9, which is how Python reads them. */
function asciiDigits(text: string): string {
  return text.replace(/\p{Nd}/gu, digit => {
    const code = digit.codePointAt(0)!
    if (code < 128) return digit
    // the five mathematical alphabets follow each other without a gap; every other run starts at …0 or …6
    if (code >= 0x1d7ce && code <= 0x1d7ff) return String((code - 0x1d7ce) % 10)
    const nibble = code & 15
    return String(/\p{Nd}/u.test(String.fromCodePoint(code - nibble)) ? nibble : nibble - 6)
  })
}

/** Characters that Python's str.strip() removes and its `\s` matches (Unicode White_Space plus the four information separators), as the inside of a character class. */
export const PYTHON_WHITESPACE = '\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000'
const IS_WHITESPACE = new RegExp(`[${PYTHON_WHITESPACE}]`)
const IS_SPACE_AROUND_NUMBER = new RegExp(`(?![\\x1c-\\x1f])[${PYTHON_WHITESPACE}]`)

/**
 * Python's str.strip(): differs from trim() in U+001C–U+001F, U+0085 (removed) and U+FEFF (kept). Linear, also for long
 * runs of white space inside the text, which completions may hold.
 */
export function strip(text: string): string {
  return stripWhere(text, IS_WHITESPACE)
}

/** What int() and float() ignore around a number: as `strip`, but the information separators U+001C–U+001F stay. */
export function stripAroundNumber(text: string): string {
  return stripWhere(text, IS_SPACE_AROUND_NUMBER)
}

function stripWhere(text: string, outer: RegExp): string {
  let start = 0
  let end = text.length
  while (start < end && outer.test(text[start]!)) start++
  while (end > start && outer.test(text[end - 1]!)) end--
  return text.slice(start, end)
}

/** UTF-8 bytes of `text`, as Python's str.encode(). Throws RangeError for a lone surrogate, which has no UTF-8 form. */
export function utf8(text: string): Buffer {
  if (/\p{Surrogate}/u.test(text)) throw new RangeError('text with a lone surrogate cannot be encoded as UTF-8')
  return Buffer.from(text, 'utf8')
}

/**
 * Python's bytes.fromhex(): two hex digits per byte, ASCII white space allowed between bytes.
 * Throws RangeError for anything else, an odd digit included.
 */
export function bytesFromHex(text: string): Buffer {
  if (!/^(?:[\t-\r ]*[0-9a-fA-F]{2})*[\t-\r ]*$/.test(text))
    throw new RangeError(`not a hex string: ${JSON.stringify(text.slice(0, 80))}`)
  return Buffer.from(text.replace(/[\t-\r ]+/g, ''), 'hex')
}

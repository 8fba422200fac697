const CODE = { space: 0x20, quote: 0x22, comma: 0x2c, zero: 0x30, nine: 0x39, colon: 0x3a, open: 0x5b, close: 0x5d }
const BRACE = { open: 0x7b, close: 0x7d }
const NAME = 'sketch'
/** `{"sketch":1},` is the shortest item. */
const SHORTEST_ITEM = 13

/**
 * The sketches of commitments written as Python or we write them: `[{"sketch": 1}, …]` with or without blanks, each an integer
 * in [0, 2^31). undefined for any other JSON, which a full parser has to read; a file holds millions of these.
 * @returns int32[positions]
 */
export function sketchesOfJson(text: string): Int32Array | undefined {
  const sketches = new Int32Array(Math.floor(text.length / SHORTEST_ITEM) + 1)
  let count = 0
  let at = 0
  const skip = () => {
    while (text.charCodeAt(at) === CODE.space) at++
  }
  const take = (code: number) => {
    skip()
    if (text.charCodeAt(at) !== code) return false
    at++
    return true
  }
  if (!take(CODE.open)) return undefined
  if (take(CODE.close)) return at === text.length ? new Int32Array(0) : undefined
  for (;;) {
    if (!take(BRACE.open) || !take(CODE.quote) || !text.startsWith(NAME, at)) return undefined
    at += NAME.length
    if (text.charCodeAt(at++) !== CODE.quote || !take(CODE.colon)) return undefined
    skip()
    const start = at
    let value = 0
    for (;;) {
      const digit = text.charCodeAt(at)
      if (!(digit >= CODE.zero && digit <= CODE.nine)) break
      value = value * 10 + digit - CODE.zero
      at++
      if (at - start > 10) return undefined
    }
    const digits = at - start
    if (digits === 0 || value > 0x7fff_ffff || (digits > 1 && text.charCodeAt(start) === CODE.zero)) return undefined
    sketches[count++] = value
    if (!take(BRACE.close)) return undefined
    if (take(CODE.comma)) continue
    if (!take(CODE.close)) return undefined
    skip()
    return at === text.length ? sketches.subarray(0, count) : undefined
  }
}

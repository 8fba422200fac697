/**
 * JSON as Python's json module sees it: integers (bigint, of any size) and floats (number) are different things, and
 * objects keep what Python's dict keeps. Hashes over re-encoded JSON need exactly that.
 */
export type PythonJson = null | boolean | string | bigint | number | PythonJson[] | PythonDict

/** Keys are text in everything read from JSON; other keys exist in Python values only. */
export type PythonDict = Map<string | bigint | number | boolean | null, PythonJson>

/** Deeper nesting is refused, as Python's recursion limit refuses it. */
const MAX_DEPTH = 900
/** Python refuses to read integers of more digits (sys.int_info.default_max_str_digits). */
const MAX_INTEGER_DIGITS = 4300

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y
const WHITESPACE = /[ \t\n\r]*/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON text may not hold control characters unescaped
const PLAIN_TEXT = /[^"\\\u0000-\u001f]*/y
const CONSTANTS: readonly (readonly [string, PythonJson])[] = [
  ['null', null],
  ['true', true],
  ['false', false],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

/**
 * Python's json.loads(): NaN and Infinity are allowed, of a repeated key the last value counts.
 * Throws SyntaxError, with the offset, for anything json.loads refuses.
 */
export function parsePythonJson(text: string): PythonJson {
  const reader = new Reader(text)
  const value = reader.value(0)
  reader.end()
  return value
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  value(depth: number): PythonJson {
    if (depth > MAX_DEPTH) throw this.#refuse(`more than ${MAX_DEPTH} levels`)
    this.#skip(WHITESPACE)
    const value = this.#bare(depth)
    this.#skip(WHITESPACE)
    return value
  }

  end(): void {
    if (this.#at < this.#text.length) throw this.#refuse('extra data')
  }

  #bare(depth: number): PythonJson {
    const first = this.#text[this.#at]
    if (first === '"') return this.#string()
    if (first === '{') return this.#object(depth)
    if (first === '[') return this.#array(depth)
    const constant = CONSTANTS.find(([word]) => this.#text.startsWith(word, this.#at))
    if (constant) {
      this.#at += constant[0].length
      return constant[1]
    }
    return this.#number()
  }

  #array(depth: number): PythonJson[] {
    const items: PythonJson[] = []
    this.#at++
    this.#skip(WHITESPACE)
    if (this.#take(']')) return items
    do items.push(this.value(depth + 1))
    while (this.#take(','))
    this.#expect(']')
    return items
  }

  #object(depth: number): PythonDict {
    const entries: PythonDict = new Map()
    this.#at++
    this.#skip(WHITESPACE)
    if (this.#take('}')) return entries
    do {
      this.#skip(WHITESPACE)
      const key = this.#string()
      this.#skip(WHITESPACE)
      this.#expect(':')
      entries.set(key, this.value(depth + 1))
    } while (this.#take(','))
    this.#expect('}')
    return entries
  }

  #string(): string {
    this.#expect('"')
    let value = ''
    for (;;) {
      value += this.#skip(PLAIN_TEXT)
      if (this.#take('"')) return value
      if (!this.#take('\\')) throw this.#refuse('an unterminated string or a control character in it')
      const letter = this.#text[this.#at++] ?? ''
      if (letter === 'u') {
        const digits = this.#text.slice(this.#at, this.#at + 4)
        if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw this.#refuse('an invalid \\u escape')
        value += String.fromCharCode(Number.parseInt(digits, 16))
        this.#at += 4
      } else {
        const plain = ESCAPES[letter]
        if (plain === undefined) throw this.#refuse('an invalid escape')
        value += plain
      }
    }
  }

  #number(): bigint | number {
    const start = this.#at
    NUMBER.lastIndex = start
    const match = NUMBER.exec(this.#text)
    if (!match) throw this.#refuse('no value')
    this.#at = NUMBER.lastIndex
    const [digits, fraction, exponent] = match
    if (fraction !== undefined || exponent !== undefined) return Number(digits)
    if (digits.length > MAX_INTEGER_DIGITS) throw this.#refuse(`an integer of more than ${MAX_INTEGER_DIGITS} digits`)
    return BigInt(digits)
  }

  /** Moves over what `pattern` (sticky) matches here and returns it. */
  #skip(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0] ?? ''
    this.#at += found.length
    return found
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #expect(character: string): void {
    if (!this.#take(character)) throw this.#refuse(`expected ${character}`)
  }

  #refuse(why: string): SyntaxError {
    return new SyntaxError(`not JSON at offset ${this.#at}: ${why}`)
  }
}

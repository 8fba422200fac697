import type { PythonDict, PythonJson } from '../../src/protocol/python-json.js'

const STRING = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/y
const NUMBER = /-?(?:nan|inf|\d+(?:\.\d+)?(?:e[+-]?\d+)?)/y
const NAMES: readonly (readonly [string, PythonJson])[] = [
  ['None', null],
  ['True', true],
  ['False', false],
]
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\', "'": "'", '"': '"' }

/**
 * The value that Python's repr() wrote: lists, dicts, text, numbers, None, True and False. A repr tells integers from
 * floats and keeps keys that are not text, which JSON does not. Throws SyntaxError for anything else.
 */
export function parsePythonLiteral(text: string): PythonJson {
  let at = 0
  const value = read()
  if (at < text.length) throw refuse()
  return value

  function read(): PythonJson {
    skipSpaces()
    if (take('[')) return readList()
    if (take('{')) return readDict()
    const string = match(STRING)
    if (string !== undefined) return unquoted(string)
    const name = NAMES.find(([word]) => text.startsWith(word, at))
    if (name) {
      at += name[0].length
      return name[1]
    }
    const number = match(NUMBER)
    if (number === undefined) throw refuse()
    if (number.endsWith('nan')) return Number.NaN
    if (number.endsWith('inf')) return number.startsWith('-') ? -Infinity : Infinity
    return /^-?\d+$/.test(number) ? BigInt(number) : Number(number)
  }

  function readList(): PythonJson[] {
    const items: PythonJson[] = []
    skipSpaces()
    if (take(']')) return items
    do items.push(read())
    while (take(','))
    if (!take(']')) throw refuse()
    return items
  }

  function readDict(): PythonDict {
    const dict: PythonDict = new Map()
    skipSpaces()
    if (take('}')) return dict
    do {
      const key = read()
      if (typeof key === 'object' && key !== null) throw refuse()
      if (!take(':')) throw refuse()
      dict.set(key, read())
    } while (take(','))
    if (!take('}')) throw refuse()
    return dict
  }

  function take(character: string): boolean {
    if (text[at] !== character) return false
    at++
    return true
  }

  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    at += found?.length ?? 0
    return found
  }

  function skipSpaces(): void {
    while (text[at] === ' ') at++
  }

  function refuse(): SyntaxError {
    return new SyntaxError(`not a Python literal at offset ${at}: ${text.slice(at, at + 40)}`)
  }
}

function unquoted(quoted: string): string {
  return quoted
    .slice(1, -1)
    .replace(/\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/gs, (_, byte, short, long, single) => {
      const hex = byte ?? short ?? long
      return hex === undefined ? (ESCAPES[single] ?? single) : String.fromCodePoint(Number.parseInt(hex, 16))
    })
}

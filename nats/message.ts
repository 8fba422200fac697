import { BrokerError } from './errors.js'

type HoleTexts<T extends string> = T extends `${string}{${infer Hole}}${infer Rest}` ? Hole | HoleTexts<Rest> : never
type NameOf<H extends string> = H extends `${infer Name}:int` ? Name : H

/** What a template's holes are filled with: `{hole:int}` takes a whole number, `{hole}` a number or a word without dots. */
export type Holes<T extends string> = {
  [H in HoleTexts<T> as NameOf<H>]: H extends `${string}:int` ? number : string | number
}

/** What is read back from a subject: `{hole:int}` a number, `{hole}` the text. */
export type ReadHoles<T extends string> = {
  [H in HoleTexts<T> as NameOf<H>]: H extends `${string}:int` ? number : string
}

/** A subject and what is said there, declared once beside the one who says it. */
export interface Message<T extends string, P> {
  readonly template: T
  /** The subject for these holes. Throws BrokerError 'invalid' when a value cannot stand in a subject. */
  at(holes: Holes<T>): string
  /** Every subject of this message. */
  readonly wildcard: string
  /** The subjects with these holes filled and the others open. */
  matching(holes: Partial<Holes<T>>): string
  /** The holes of a subject, or undefined when it is not one of this message's. */
  holes(subject: string): ReadHoles<T> | undefined
  encode(payload: P): Uint8Array
  /** Throws BrokerError 'payload', naming the template and what was wrong. */
  decode(bytes: Uint8Array): P
  /** The message id, under which the broker keeps one copy; absent for messages that may be lost or doubled. */
  readonly id: ((payload: P, holes: Holes<T>) => string) | undefined
}

/** A message that has an id, so that it can be announced: published until stored, once. */
export type Announcement<T extends string, P> = Message<T, P> & {
  readonly id: (payload: P, holes: Holes<T>) => string
}

const TOKEN = /^[^\s.*>{}]+$/
const HOLE = /^\{(\w+)(:int)?\}$/
const INTEGER = /^(0|[1-9]\d*)$/

type Token = { word: string } | { hole: string; int: boolean }

function tokensOf(template: string): Token[] {
  return template.split('.').map(token => {
    const hole = HOLE.exec(token)
    if (hole) return { hole: hole[1]!, int: hole[2] !== undefined }
    if (!TOKEN.test(token))
      throw new BrokerError(
        'invalid',
        `subject template '${template}': '${token}' is neither a word nor a whole {hole}`,
      )
    return { word: token }
  })
}

function fill(
  template: string,
  token: Token,
  holes: Readonly<Record<string, string | number | undefined>>,
  open?: string,
): string {
  if ('word' in token) return token.word
  const value = holes[token.hole]
  if (value === undefined && open !== undefined) return open
  const text = String(value)
  if (value === undefined || !TOKEN.test(text) || (token.int && !INTEGER.test(text)))
    throw new BrokerError('invalid', `subject '${template}': ${token.hole} cannot be '${text}'`)
  return text
}

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Declares a message. The payload travels as JSON, so that `nats sub` shows it to an operator.
 * @param template tokens separated by dots, each a word, `{hole}` or `{hole:int}`: 'grail.window.{window:int}.opened'
 * @param parse from parsed JSON to the payload; throws when it is none
 * @param id the same thing said twice has the same id
 */
export function message<const T extends string, P>(
  template: T,
  options: { parse: (value: unknown) => P; id: (payload: P, holes: Holes<T>) => string },
): Announcement<T, P>
export function message<const T extends string, P>(
  template: T,
  options: { parse: (value: unknown) => P },
): Message<T, P>
export function message<const T extends string, P>(
  template: T,
  { parse, id }: { parse: (value: unknown) => P; id?: (payload: P, holes: Holes<T>) => string },
): Message<T, P> {
  const tokens = tokensOf(template)
  const subject = (holes: object, open?: string) =>
    tokens.map(token => fill(template, token, holes as Record<string, string | number>, open)).join('.')
  return {
    template,
    id,
    at: holes => subject(holes),
    matching: holes => subject(holes, '*'),
    wildcard: subject({}, '*'),
    holes(text) {
      const parts = text.split('.')
      if (parts.length !== tokens.length) return undefined
      const found: Record<string, string | number> = {}
      for (const [i, token] of tokens.entries()) {
        const part = parts[i]!
        if ('word' in token) {
          if (part !== token.word) return undefined
        } else if (token.int) {
          if (!INTEGER.test(part)) return undefined
          found[token.hole] = Number(part)
        } else found[token.hole] = part
      }
      return found as ReadHoles<T>
    },
    encode: payload => utf8.encode(JSON.stringify(payload)),
    decode(bytes) {
      try {
        return parse(JSON.parse(fromUtf8.decode(bytes)))
      } catch (e) {
        throw new BrokerError('payload', `${template}: ${e instanceof Error ? e.message : String(e)}`, { cause: e })
      }
    },
  }
}

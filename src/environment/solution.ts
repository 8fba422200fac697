import type { ThinkingMode } from '../checkpoint/metadata.js'
import { ignoringCase, pythonLength } from './python-text.js'
import { SOLUTION_CLOSE, SOLUTION_OPEN, THINKING } from './thinking.js'

/** What the tags of a completion say (grail/environments/base.py:29-143, 54d6342). */
export interface TaggedCompletion {
  /** The closing thinking tag occurs; the opening one is not needed. */
  hasThinking: boolean
  /** Text between the solution tags as written, or undefined when there is no complete pair. */
  solution: string | undefined
  /** Code points after the solution's closing tag; 0 without a solution. Special tokens such as the end of a turn count. */
  trailing: number
  /** How often each solution tag occurs in the whole completion. */
  openTags: number
  closeTags: number
}

const OPEN = new RegExp(ignoringCase(SOLUTION_OPEN), 'g')
const CLOSE = new RegExp(ignoringCase(SOLUTION_CLOSE), 'g')
const THINKING_CLOSE: Record<ThinkingMode, RegExp> = {
  instructed: new RegExp(ignoringCase(THINKING.instructed.closeTag)),
  native: new RegExp(ignoringCase(THINKING.native.closeTag)),
}

interface Span {
  start: number
  end: number
}

/**
 * Finds thinking and solution tags, whatever their case. With thinking present, the first solution after the first
 * closing thinking tag is taken; without such a one, the first solution of the text. Linear in the text.
 */
export function readTags(text: string, mode: ThinkingMode): TaggedCompletion {
  const opens = spans(text, OPEN)
  const closes = spans(text, CLOSE)
  const thinking = THINKING_CLOSE[mode].exec(text)
  const found =
    (thinking && firstPair(opens, closes, thinking.index + thinking[0].length)) ?? firstPair(opens, closes, 0)
  return {
    hasThinking: thinking !== null,
    solution: found && text.slice(found.start, found.end),
    trailing: found ? pythonLength(text.slice(found.after)) : 0,
    openTags: opens.length,
    closeTags: closes.length,
  }
}

function spans(text: string, pattern: RegExp): Span[] {
  return Array.from(text.matchAll(pattern), match => ({ start: match.index, end: match.index + match[0].length }))
}

function firstPair(opens: Span[], closes: Span[], from: number) {
  const open = opens.find(span => span.start >= from)
  const close = open && closes.find(span => span.start >= open.end)
  return open && close && { start: open.end, end: close.start, after: close.end }
}

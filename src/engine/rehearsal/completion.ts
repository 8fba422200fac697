import type { Finish } from '../../window/group.js'
import { words } from './numbers.js'
import type { Vocabulary } from './vocabulary.js'

/** What one rehearsed completion is drawn from. */
export interface Draw {
  vocabulary: Vocabulary
  /** 'sat' is answered by bits, everything else by an integer. */
  environment: string
  /** Shortest completion a validator takes, tokens. */
  minTokens: number
  /** max_tokens of the checkpoint. */
  maxTokens: number
  /** Mean length of completions that end by EOS, tokens, where max_tokens allows it. */
  typicalTokens: number
  /** u32; decides everything else. */
  seed: number
}

/** One in this many completions runs to max_tokens. */
const ONE_RUNS_OUT_OF = 16
/** One in this many gives no answer, so that rewards differ inside a group. */
const ONE_SILENT_OF = 4
const MOST_ANSWER_DIGITS = 3
const FEWEST_BITS = 6
const MOST_BITS = 10

function answer(vocabulary: Vocabulary, bits: boolean, next: () => number): number[] {
  const digit = (below: number) => vocabulary.digits[next() % below]!
  if (!bits) return Array.from({ length: 1 + (next() % MOST_ANSWER_DIGITS) }, () => digit(10))
  const count = FEWEST_BITS + (next() % (MOST_BITS - FEWEST_BITS + 1))
  return Array.from({ length: count }, (_, i) => (i === 0 ? [digit(2)] : [...vocabulary.space, digit(2)])).flat()
}

/**
 * Token ids of a completion: words of the vocabulary, then mostly an answer between the protocol's tags, then EOS; or,
 * now and then, words up to exactly max_tokens.
 */
export function drawCompletion(draw: Draw): { ids: Int32Array; finish: Finish } {
  const { vocabulary, minTokens, maxTokens } = draw
  const next = words(draw.seed)
  const longest = Math.min(maxTokens - 1, Math.max(minTokens, 2 * draw.typicalTokens - minTokens))
  const runsOut = next() % ONE_RUNS_OUT_OF === 0 || longest < minTokens
  // The mean of two uniform numbers: lengths gather around the middle.
  const share = (next() / 2 ** 32 + next() / 2 ** 32) / 2
  const length = runsOut ? maxTokens : minTokens + Math.round(share * (longest - minTokens))

  const ids = new Int32Array(length)
  for (let i = 0; i < length; i++) ids[i] = vocabulary.plain[next() % vocabulary.plain.length]!
  if (runsOut) return { ids, finish: 'length' }

  ids[length - 1] = vocabulary.eosTokenId
  const canAnswer = vocabulary.digits.length > 0 && vocabulary.opening.length > 0 && vocabulary.closing.length > 0
  if (canAnswer && next() % ONE_SILENT_OF !== 0) {
    const said = [...vocabulary.opening, ...answer(vocabulary, draw.environment === 'sat', next), ...vocabulary.closing]
    if (said.length < length) ids.set(said, length - 1 - said.length)
  }
  return { ids, finish: 'eos' }
}

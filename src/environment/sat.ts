import type { ThinkingMode } from '../checkpoint/metadata.js'
import { PYTHON_WHITESPACE } from '../protocol/python-text.js'
import type { Environment } from './environment.js'
import type { OpenEnvironment } from './open-options.js'
import { type SatProblem, satisfies, satProblem, satPrompt } from './sat-problem.js'
import { readTags } from './solution.js'
import { type Judgement, noTrailingReward, weighted } from './weighted.js'

/** correctness, strict format, soft format, shape, no trailing text, charset (grail/environments/sat_env.py:229-329, 54d6342). */
const WEIGHTS = [1, 0.15, 0.1, 0.15, 0.1, 0.05]
const ONLY_BITS_AND_SPACES = new RegExp(`^[${PYTHON_WHITESPACE}01]*$`)
/** What an answer that is no assignment at all scores for correctness. */
const MALFORMED = -0.2

/**
 * Rewards one completion. Quirk of the reference: an answer counts as well formed only when nothing follows the closing
 * tag, and the special token that ends a normal turn does follow it. So a right answer with an end of turn scores
 * −0.111 and no success; only one cut off at its closing tag scores 1.135.
 */
export function judgeSat(problem: SatProblem, text: string, mode: ThinkingMode): Judgement {
  const tags = readTags(text, mode)
  const solution = tags.solution ?? ''
  const hasSolution = tags.solution !== undefined
  const onlyBits = ONLY_BITS_AND_SPACES.test(solution)
  const bits = solution.match(/[01]/g) ?? []
  const rightLength = bits.length === problem.variables
  const wellFormed = hasSolution && onlyBits && tags.trailing === 0 && rightLength
  const correct = wellFormed
    ? Number(
        satisfies(
          problem,
          bits.map(bit => bit === '1'),
        ),
      )
    : MALFORMED
  const components = [
    correct,
    wellFormed && tags.openTags === 1 && tags.closeTags === 1 ? 0.3 : 0,
    hasSolution ? 0.2 : 0,
    rightLength ? 0.3 : 0,
    noTrailingReward(hasSolution, tags.trailing),
    hasSolution && onlyBits ? 0.1 : 0,
  ]
  return { reward: weighted(components, WEIGHTS), success: correct === 1, components }
}

/** Random 3-SAT: problems come from the seed alone, no data set. */
export function satEnvironment(): Environment {
  return {
    id: 'sat',
    problem(seed) {
      const answer = satProblem(seed)
      return { environment: 'sat', seed, row: -1, prompt: satPrompt(answer), answer }
    },
    async reward(problem, texts, mode) {
      return texts.map(text => {
        const { reward, success } = judgeSat(problem.answer as SatProblem, text, mode)
        return { reward, success }
      })
    },
    async close() {},
  }
}

export const openSat: OpenEnvironment = async () => satEnvironment()

import { z } from 'zod'
import type { ThinkingMode } from '../checkpoint/metadata.js'
import { loadPart } from './dataset/dataset.js'
import { DatasetError, type DatasetPart } from './dataset/part.js'
import type { Environment } from './environment.js'
import { comparable, goldAnswer, numberIn } from './gsm8k-answer.js'
import { type OpenEnvironment, splitOf } from './open-options.js'
import { holdBack, scaledIndex, splitRandom } from './problem-index.js'
import { readTags } from './solution.js'
import { type Judgement, noTrailingReward, weighted } from './weighted.js'

const gsm8kRow = z.object({ question: z.string(), answer: z.string() })
export type Gsm8kRow = z.output<typeof gsm8kRow>

/** `val` is drawn from the hub's train split; `test` is the hub's own. */
export const GSM8K_SPLITS = ['train', 'val', 'test'] as const
export type Gsm8kSplit = (typeof GSM8K_SPLITS)[number]

/** Rows held back from the hub's train split (grail/environments/providers.py:108-149, 54d6342). */
const VALIDATION_ROWS = 250

/** correctness, strict format, thinking, answer, no trailing text (grail/environments/gsm8k_env.py:117-197, 54d6342). */
const WEIGHTS = [0.6, 0.15, 0.1, 0.1, 0.05]

/** Rows of a split out of the hub's: `test` as it is, `train` and `val` parted from the hub's train rows. */
export function gsm8kSplit(rows: readonly Gsm8kRow[], split: Gsm8kSplit): readonly Gsm8kRow[] {
  if (split === 'test') return rows
  if (rows.length < VALIDATION_ROWS)
    throw new DatasetError(
      `openai/gsm8k train has ${rows.length} rows, fewer than the ${VALIDATION_ROWS} held back for validation`,
    )
  const parted = holdBack(rows, VALIDATION_ROWS, splitRandom())
  return split === 'train' ? parted.train : parted.validation
}

/** The hub's part that a split comes from. */
export function gsm8kPart(split: Gsm8kSplit): DatasetPart<Gsm8kRow> {
  return { repository: 'openai/gsm8k', config: 'main', split: split === 'test' ? 'test' : 'train', row: gsm8kRow }
}

/** Rewards one completion. `gold` is the row's worked solution. */
export function judgeGsm8k(gold: string, text: string, mode: ThinkingMode): Judgement {
  const tags = readTags(text, mode)
  const hasSolution = tags.solution !== undefined
  const { number, alone } = numberIn(tags.solution ?? '')
  const equal = comparable(number) === comparable(goldAnswer(gold))
  const components = [
    number !== '' && equal ? 1 : 0,
    hasSolution && alone && tags.trailing === 0 ? 0.3 : 0,
    tags.hasThinking ? 0.5 : 0,
    hasSolution ? 0.3 : 0,
    noTrailingReward(hasSolution, tags.trailing),
  ]
  // success does not ask for a number: no answer equals an empty gold answer, as in the reference
  return { reward: weighted(components, WEIGHTS), success: equal, components }
}

/** Grade-school questions with a number as answer, over the rows of one split. */
export function gsm8kEnvironment(rows: readonly Gsm8kRow[]): Environment {
  return {
    id: 'gsm8k',
    problem(seed) {
      const row = scaledIndex(seed, rows.length)
      const { question, answer } = rows[row]!
      return { environment: 'gsm8k', seed, row, prompt: question, answer }
    },
    async reward(problem, texts, mode) {
      return texts.map(text => {
        const { reward, success } = judgeGsm8k(problem.answer as string, text, mode)
        return { reward, success }
      })
    },
    async close() {},
  }
}

export const openGsm8k: OpenEnvironment = async options => {
  const split = splitOf('gsm8k', options.params, GSM8K_SPLITS)
  return gsm8kEnvironment(gsm8kSplit(await loadPart(gsm8kPart(split), options, options.signal), split))
}

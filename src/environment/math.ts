import { z } from 'zod'
import type { ThinkingMode } from '../checkpoint/metadata.js'
import { strip } from '../protocol/python-text.js'
import { loadPart } from './dataset/dataset.js'
import type { DatasetPart } from './dataset/part.js'
import type { Environment } from './environment.js'
import { judgeAll } from './judge/pool.js'
import { answersEqual, firstBoxed, lastBoxed, type SymbolicJudge } from './math-answer.js'
import { type OpenEnvironment, splitOf } from './open-options.js'
import { holdBack, scaledIndex, splitRandom } from './problem-index.js'
import { readTags } from './solution.js'
import { startSymbolicJudge } from './symbolic-judge.js'
import { type Judgement, noTrailingReward, weighted } from './weighted.js'

const mathRow = z.object({ problem: z.string(), solution: z.string() })
export type MathRow = z.output<typeof mathRow>

/** In this order the subjects are shuffled and joined (grail/environments/providers.py, 54d6342). */
export const MATH_SUBJECTS = [
  'algebra',
  'counting_and_probability',
  'geometry',
  'intermediate_algebra',
  'number_theory',
  'prealgebra',
  'precalculus',
] as const

export const MATH_SPLITS = ['train', 'val', 'test'] as const
export type MathSplit = (typeof MATH_SPLITS)[number]

/** Rows held back from the hub's train rows, over all subjects. */
const VALIDATION_ROWS = 500
/** Code points after the solution that the format component overlooks. */
const LITTLE_TRAILING = 50
/** correctness, format, thinking, no trailing text (grail/environments/math_hendrycks_env.py:102-270, 54d6342). */
const WEIGHTS = [0.7, 0.15, 0.1, 0.05]

/** What a row's answer is compared with: `answer` for the reward, `successAnswer` for success. They differ only for rows whose first box is broken. */
export interface MathGold {
  answer: string
  successAnswer: string
}

/** Rows of a split from the rows of each subject, in the order of MATH_SUBJECTS (grail/environments/providers.py:301-375, 54d6342). */
export function mathSplit(subjects: readonly (readonly MathRow[])[], split: MathSplit): MathRow[] {
  if (split === 'test') return subjects.flat()
  const total = subjects.reduce((sum, rows) => sum + rows.length, 0)
  const random = splitRandom()
  let left = VALIDATION_ROWS
  return subjects.flatMap((rows, index) => {
    const share = roundHalfEven(VALIDATION_ROWS * (rows.length / total))
    const held = index === subjects.length - 1 ? left : Math.min(share, rows.length, left)
    left -= held
    const parted = holdBack(rows, held, random)
    return split === 'train' ? parted.train : parted.validation
  })
}

/** Python's round(). */
function roundHalfEven(value: number): number {
  const below = Math.floor(value)
  if (value - below !== 0.5) return Math.round(value)
  return below % 2 === 0 ? below : below + 1
}

/** The gold answers of a row. */
export function mathGold({ solution }: MathRow): MathGold {
  const answer = firstBoxed(solution)
  return { answer, successAnswer: answer || lastBoxed(solution) }
}

/** Rewards one completion. */
export async function judgeMath(
  gold: MathGold,
  text: string,
  mode: ThinkingMode,
  symbolic: SymbolicJudge,
  signal: AbortSignal,
): Promise<Judgement> {
  const tags = readTags(text, mode)
  const hasSolution = tags.solution !== undefined
  const answer = strip(tags.solution ?? '')
  const correct = await answersEqual(answer, gold.answer, symbolic, signal)
  const success =
    gold.successAnswer === gold.answer ? correct : await answersEqual(answer, gold.successAnswer, symbolic, signal)
  const components = [
    correct ? 1 : 0,
    hasSolution && tags.trailing < LITTLE_TRAILING ? 0.3 : 0,
    tags.hasThinking ? 0.5 : 0,
    noTrailingReward(hasSolution, tags.trailing),
  ]
  return { reward: weighted(components, WEIGHTS), success, components }
}

/** Competition mathematics with answers in LaTeX, over the rows of one split. */
export function mathEnvironment(
  rows: readonly MathRow[],
  symbolic: { judge: SymbolicJudge; close(): void },
): Environment {
  return {
    id: 'math',
    problem(seed) {
      const row = scaledIndex(seed, rows.length)
      return { environment: 'math', seed, row, prompt: rows[row]!.problem, answer: mathGold(rows[row]!) }
    },
    reward: (problem, texts, mode, signal) =>
      judgeAll(
        texts,
        async (text, either) => {
          const { reward, success } = await judgeMath(problem.answer as MathGold, text, mode, symbolic.judge, either)
          return { reward, success }
        },
        signal,
      ),
    async close() {
      symbolic.close()
    },
  }
}

/** The hub's part with one subject's rows. */
export function mathPart(subject: string, split: MathSplit): DatasetPart<MathRow> {
  return {
    repository: 'EleutherAI/hendrycks_math',
    config: subject,
    split: split === 'test' ? 'test' : 'train',
    row: mathRow,
  }
}

export const openMath: OpenEnvironment = async options => {
  const split = splitOf('math', options.params, MATH_SPLITS)
  const subjects: MathRow[][] = []
  for (const subject of MATH_SUBJECTS) subjects.push(await loadPart(mathPart(subject, split), options, options.signal))
  const symbolic = await startSymbolicJudge(options.python ?? 'python3', options.warn ?? (() => {}))
  return mathEnvironment(mathSplit(subjects, split), symbolic)
}

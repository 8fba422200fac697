import { z } from 'zod'
import { strip } from '../protocol/python-text.js'
import { codeRewards, startCodeJudges } from './code-judge.js'
import { loadPart } from './dataset/dataset.js'
import type { DatasetPart } from './dataset/part.js'
import type { Environment } from './environment.js'
import type { JudgePool } from './judge/pool.js'
import { EnvironmentRefused, type OpenEnvironment, splitOf } from './open-options.js'
import { remainderIndex, shuffledIndices, splitRandom } from './problem-index.js'

const textList = z
  .array(z.string())
  .nullish()
  .transform(list => list ?? [])
const text = z
  .string()
  .nullish()
  .transform(value => value ?? '')
const mbppRow = z.object({
  text: z.string(),
  code: text,
  test_list: textList,
  test_setup_code: text,
  test_imports: textList,
})
export type MbppRow = z.output<typeof mbppRow>

/** The hub's own splits that the reference parts anew. */
export interface MbppParts {
  train: readonly MbppRow[]
  validation: readonly MbppRow[]
  test: readonly MbppRow[]
}
const HUB_SPLITS = ['train', 'validation', 'test'] as const

export const MBPP_SPLITS = ['train', 'validation'] as const
export type MbppSplit = (typeof MBPP_SPLITS)[number]

/** Share of the hub's test rows that join the train rows; the rest joins validation (grail/environments/providers.py:552-613, 54d6342). */
const TEST_TO_TRAIN = 0.8

/** Rows of a split: the hub's, followed by its part of the shuffled test rows, in shuffled order. */
export function mbppSplit({ train, validation, test }: MbppParts, split: MbppSplit): MbppRow[] {
  const shuffled = shuffledIndices(test.length, splitRandom()).map(index => test[index]!)
  const toTrain = Math.trunc(test.length * TEST_TO_TRAIN)
  return split === 'train' ? [...train, ...shuffled.slice(0, toTrain)] : [...validation, ...shuffled.slice(toTrain)]
}

/** The user message: the task, and the first function's signature of the reference solution as a stub (grail/environments/providers.py:615-674, 54d6342). */
export function mbppPrompt({ text, code }: Pick<MbppRow, 'text' | 'code'>): string {
  const signature = code
    .split('\n')
    .map(strip)
    .find(line => line.startsWith('def '))
  return signature === undefined ? text : `${text}\n\n${signature}\n    pass`
}

/** One test program per assertion, with imports and set-up code in front (grail/environments/python_code_env.py:prepare_test_cases, 54d6342). */
export function mbppTests(row: Pick<MbppRow, 'test_list' | 'test_setup_code' | 'test_imports'>): string[] {
  let setup = row.test_imports.join('\n')
  if (row.test_setup_code !== '') setup += `\n${row.test_setup_code}`
  return row.test_list.map(test => (setup === '' ? test : `${setup}\n${test}`))
}

/** Short Python tasks over the rows of one split. `id` is mbpp or python_code: the same tasks under two names. */
export function mbppEnvironment(id: string, rows: readonly MbppRow[], pool: JudgePool): Environment {
  return {
    id,
    problem(seed) {
      const row = remainderIndex(seed, rows.length)
      return { environment: id, seed, row, prompt: mbppPrompt(rows[row]!), answer: mbppTests(rows[row]!) }
    },
    ...codeRewards(pool),
  }
}

/** Opens mbpp or python_code. `val` is another name for `validation`; the reference has no `test`. */
function openAs(id: string): OpenEnvironment {
  return async options => {
    if (options.params.split === 'test')
      throw new EnvironmentRefused(
        `the checkpoint asks for split "test" of ${id}: its rows are parted among ${MBPP_SPLITS.join(' and ')}`,
      )
    const split = splitOf(id, options.params.split === 'val' ? { split: 'validation' } : options.params, MBPP_SPLITS)
    const parts: Partial<MbppParts> = {}
    for (const hubSplit of HUB_SPLITS) parts[hubSplit] = await loadPart(mbppPart(hubSplit), options, options.signal)
    return mbppEnvironment(id, mbppSplit(parts as MbppParts, split), await startCodeJudges(options.python ?? 'python3'))
  }
}

/** The hub's part with the rows of one of its splits. */
export function mbppPart(split: (typeof HUB_SPLITS)[number]): DatasetPart<MbppRow> {
  return { repository: 'google-research-datasets/mbpp', config: 'full', split, row: mbppRow }
}

export const openMbpp: OpenEnvironment = openAs('mbpp')
export const openPythonCode: OpenEnvironment = openAs('python_code')

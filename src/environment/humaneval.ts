import { z } from 'zod'
import { codeRewards, startCodeJudges } from './code-judge.js'
import { loadPart } from './dataset/dataset.js'
import type { DatasetPart } from './dataset/part.js'
import type { Environment } from './environment.js'
import type { JudgePool } from './judge/pool.js'
import type { OpenEnvironment } from './open-options.js'
import { remainderIndex } from './problem-index.js'

const humanEvalRow = z.object({ prompt: z.string(), test: z.string(), entry_point: z.string() })
export type HumanEvalRow = z.output<typeof humanEvalRow>

export const HUMANEVAL_PART: DatasetPart<HumanEvalRow> = {
  repository: 'openai/openai_humaneval',
  config: 'openai_humaneval',
  split: 'test',
  aliases: ['HumanEval.jsonl.gz', 'HumanEval.jsonl'],
  row: humanEvalRow,
}

/** One test program, or none when the row lacks its parts (grail/environments/python_code_env.py:prepare_test_cases, 54d6342). */
export function humanEvalTests({ test, entry_point }: HumanEvalRow): string[] {
  return test && entry_point ? [`${test}\ncheck(${entry_point})`] : []
}

/** Functions to complete from their docstrings (grail/environments/providers.py:732-803, 54d6342). Only one split exists, whatever the checkpoint says. */
export function humanEvalEnvironment(rows: readonly HumanEvalRow[], pool: JudgePool): Environment {
  return {
    id: 'humaneval',
    problem(seed) {
      const row = remainderIndex(seed, rows.length)
      return { environment: 'humaneval', seed, row, prompt: rows[row]!.prompt, answer: humanEvalTests(rows[row]!) }
    },
    ...codeRewards(pool),
  }
}

export const openHumanEval: OpenEnvironment = async options => {
  const rows = await loadPart(HUMANEVAL_PART, options, options.signal)
  return humanEvalEnvironment(rows, await startCodeJudges(options.python ?? 'python3'))
}

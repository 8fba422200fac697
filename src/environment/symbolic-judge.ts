import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { RewardError } from './environment.js'
import { sameExpression } from './expression.js'
import { startJudgePool } from './judge/pool.js'
import type { SymbolicJudge } from './math-answer.js'

/** Seconds a comparison may take; sympy's simplify has no bound of its own. Later than that, two answers count as different expressions. */
const COMPARISON_SECONDS = 10
const MEMORY_BYTES = 2 * 1024 ** 3
/** Judges at once; each holds sympy, some 60 MB. */
const MAX_WORKERS = 2

const report = z.tuple([z.object({ equal: z.boolean() })])

/**
 * Compares answers as the reference does, with sympy in shut-in processes. Where Python has no sympy, quotients of
 * polynomials are compared here and nothing else is covered: functions, roots, constants by value.
 * @throws RewardError when Python does not start
 */
export async function startSymbolicJudge(
  python: string,
  warn: (message: string) => void,
): Promise<{ judge: SymbolicJudge; close(): void }> {
  const workers = Math.min(MAX_WORKERS, availableParallelism())
  const pool = await startJudgePool({ python, module: 'symbolic_job', workers })
  if (pool.facts.sympy === null) {
    pool.close()
    warn(
      `${python} has no sympy: answers that differ only as roots or functions count as wrong here and right for validators. Install sympy 1.14 for it`,
    )
    return { judge: async (predicted, gold) => sameExpression(predicted, gold) ?? false, close() {} }
  }
  return {
    async judge(predicted, gold, signal) {
      const job = { predicted, gold }
      const { timedOut, parts } = await pool.judge(
        { job, seconds: COMPARISON_SECONDS, memoryBytes: MEMORY_BYTES },
        signal,
      )
      if (timedOut) return false
      const said = report.safeParse(parts)
      if (!said.success)
        throw new RewardError(`a comparison's report makes no sense: ${JSON.stringify(parts).slice(0, 200)}`)
      return said.data[0].equal
    },
    close: () => pool.close(),
  }
}

import { availableParallelism } from 'node:os'
import { z } from 'zod'
import type { ThinkingMode } from '../checkpoint/metadata.js'
import { strip } from '../protocol/python-text.js'
import { type Environment, RewardError } from './environment.js'
import { type JudgePool, judgeAll, startJudgePool } from './judge/pool.js'
import { readTags } from './solution.js'
import { type Judgement, weighted } from './weighted.js'

/** Seconds one test may take (grail/environments/python_code_env.py, 54d6342). */
const TEST_SECONDS = 5
/**
 * Seconds beyond all tests' own until the process is killed: an answer may swallow its alarm or sit in one long C call.
 * The reference waits 30 s; the verdict is the same, no test passed.
 */
const EXTRA_SECONDS = 10
/** Address space of a judged process. The reference's pool sets no limit; its fallback allows 2 GiB. */
const MEMORY_BYTES = 2 * 1024 ** 3
/** Judges at once, as many as the reference has at most. */
const MAX_WORKERS = 8
/** Code points after the solution that still count as none. */
const LITTLE_TRAILING = 50

/** correctness, syntax, format, thinking (grail/environments/python_code_env.py:135-318, 54d6342). */
const WEIGHTS = [0.7, 0.1, 0.1, 0.1]

const report = z.union([
  z.tuple([z.object({ syntax: z.enum(['valid', 'invalid', 'unreadable']) })]),
  z.tuple([z.object({ syntax: z.literal('valid') }), z.object({ passed: z.array(z.boolean()) })]),
])

export interface CodeJudgement extends Judgement {
  testsPassed: number
  testsTotal: number
}

/** Judges Python code in processes of its own. Starts one at once, to fail early. */
export async function startCodeJudges(python: string): Promise<JudgePool> {
  const workers = Math.min(MAX_WORKERS, availableParallelism())
  return await startJudgePool({ python, module: 'code_job', workers })
}

/**
 * Rewards one completion whose solution is Python code, by the share of tests that pass.
 * @param tests each is appended to the code and run on its own
 * @throws RewardError when the code could not be judged
 */
export async function judgeCode(
  tests: readonly string[],
  text: string,
  mode: ThinkingMode,
  pool: JudgePool,
  signal: AbortSignal,
): Promise<CodeJudgement> {
  const tags = readTags(text, mode)
  const code = strip(tags.solution ?? '')
  const ran: Run = code === '' ? { syntax: 'invalid', passed: 0, ran: false } : await run(code, tests, pool, signal)
  const total = ran.ran ? tests.length : 0
  // code that Python cannot even read counts as if nothing stood between the tags, and nothing after them
  const trailing = ran.syntax === 'unreadable' ? 0 : tags.trailing
  const components = [
    total === 0 ? 0 : ran.passed / total,
    ran.syntax === 'valid' ? 1 : 0,
    tags.solution !== undefined && trailing < LITTLE_TRAILING ? 1 : 0,
    tags.hasThinking ? 1 : 0,
  ]
  return {
    reward: weighted(components, WEIGHTS),
    success: total > 0 && ran.passed === total,
    components,
    testsPassed: ran.passed,
    testsTotal: total,
  }
}

/** The judging half of an environment whose problems carry their tests as `answer`. */
export function codeRewards(pool: JudgePool): Pick<Environment, 'reward' | 'close'> {
  return {
    reward: (problem, texts, mode, signal) =>
      judgeAll(
        texts,
        async (text, either) => {
          const { reward, success } = await judgeCode(problem.answer as string[], text, mode, pool, either)
          return { reward, success }
        },
        signal,
      ),
    async close() {
      pool.close()
    },
  }
}

/** Does the code compile? 'unreadable' when Python cannot even read it (a lone surrogate, too deeply nested). Takes long only for hostile code, which then counts as invalid. */
export async function compileCode(
  code: string,
  pool: JudgePool,
  signal: AbortSignal,
): Promise<'valid' | 'invalid' | 'unreadable'> {
  return (await run(code, [], pool, signal)).syntax
}

interface Run {
  syntax: 'valid' | 'invalid' | 'unreadable'
  passed: number
  /** Were tests tried? */
  ran: boolean
}

async function run(code: string, tests: readonly string[], pool: JudgePool, signal: AbortSignal): Promise<Run> {
  const { timedOut, parts } = await pool.judge(
    {
      job: { code, tests, seconds: TEST_SECONDS },
      seconds: TEST_SECONDS * tests.length + EXTRA_SECONDS,
      memoryBytes: MEMORY_BYTES,
    },
    signal,
  )
  // the report comes out of the judged process: nothing in it is taken for granted
  const said = report.safeParse(parts)
  if (!said.success) {
    // compiling alone can take for ever; the reference would hang there
    if (timedOut) return { syntax: 'invalid', passed: 0, ran: true }
    throw new RewardError(`an answer's report makes no sense: ${JSON.stringify(parts).slice(0, 200)}`)
  }
  const [{ syntax }, results] = said.data
  if (syntax === 'unreadable') return { syntax, passed: 0, ran: false }
  const passed = timedOut ? 0 : (results?.passed.filter(Boolean).length ?? 0)
  if (syntax === 'valid' && !timedOut && results?.passed.length !== tests.length)
    throw new RewardError(`an answer's report speaks of ${results?.passed.length} tests, not ${tests.length}`)
  return { syntax, passed, ran: true }
}

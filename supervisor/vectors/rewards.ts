import { judgeCode } from '../../src/environment/code-judge.js'
import { judgeGsm8k } from '../../src/environment/gsm8k.js'
import { humanEvalTests } from '../../src/environment/humaneval.js'
import { judgeMath } from '../../src/environment/math.js'
import { mbppTests } from '../../src/environment/mbpp.js'
import { judgeSat } from '../../src/environment/sat.js'
import { satProblem } from '../../src/environment/sat-problem.js'
import type { Judgement } from '../../src/environment/weighted.js'
import { type Check, type Checks, same } from './check.js'
import { codeJudges, symbolicJudge } from './judges.js'

const rewardSat: Check = (file, index) => {
  const expected = file.cases[index]
  const judged = judgeSat(satProblem(expected.seed), expected.completion, expected.mode)
  return same(
    [judged.reward, judged.success, judged.components],
    [expected.reward, expected.success, numbered(expected.components)],
  )
}

const rewardPythonCode: Check = async (file, index) => {
  const expected = file.cases[index]
  const payload = { ...file.payload, ...expected.payload }
  const judged = await judgeCode(
    'test_list' in payload ? mbppTests(payload) : humanEvalTests(payload),
    expected.completion,
    expected.mode,
    await codeJudges(),
    new AbortController().signal,
  )
  const { correctness, syntax, format, thinking } = expected.components
  return same(
    [judged.reward, judged.success, judged.testsPassed, judged.testsTotal, judged.components],
    [
      expected.reward,
      expected.success,
      expected.tests_passed,
      expected.tests_total,
      [correctness, syntax, format, thinking],
    ],
  )
}

const rewardGsm8kMath: Check = async (file, index) => {
  const { env, gold, completion, mode, ...expected } = file.cases[index]
  let judged: Judgement
  if (env === 'gsm8k') judged = judgeGsm8k(gold, completion, mode)
  else if (env === 'math') {
    const golds = { answer: gold, successAnswer: gold }
    judged = await judgeMath(golds, completion, mode, await symbolicJudge(), new AbortController().signal)
  } else return `unknown env "${env}"`
  return same(
    [judged.reward, judged.success, judged.components],
    [expected.reward, expected.success, numbered(expected.components)],
  )
}

/** {r0: …, r1: …} as a list. */
function numbered(components: Record<string, number>): number[] {
  return Object.keys(components).map((_, i) => components[`r${i}`]!)
}

/** What completions are worth. */
export const rewardChecks: Checks = {
  'reward_gsm8k_math.json': rewardGsm8kMath,
  'reward_python_code.json': rewardPythonCode,
  'reward_sat.json': rewardSat,
}

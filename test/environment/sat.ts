import t from 'tap'
import type { ThinkingMode } from '../../src/checkpoint/metadata.js'
import { judgeSat, satEnvironment } from '../../src/environment/sat.js'
import { type SatProblem, satisfies } from '../../src/environment/sat-problem.js'

/** First assignment that satisfies the problem, as the text a model would answer. */
function solve(problem: SatProblem): string {
  for (let bits = 0; bits < 2 ** problem.variables; bits++) {
    const assignment = Array.from({ length: problem.variables }, (_, i) => ((bits >> i) & 1) === 1)
    if (satisfies(problem, assignment)) return assignment.map(Number).join(' ')
  }
  throw new Error('not satisfiable')
}

await t.test('sat: a seed gives the same problem every time, and other seeds other problems', async t => {
  const environment = satEnvironment()
  t.same(environment.problem(7), environment.problem(7))
  t.not(environment.problem(7).prompt, environment.problem(8).prompt)
  t.match(
    environment.problem(4294967295).prompt,
    '(seed: 42949672...)',
    'eight characters of the decimal seed are shown',
  )
  t.equal(environment.problem(7).row, -1, 'there is no data set behind it')
})

await t.test('sat: rewards', async t => {
  const environment = satEnvironment()
  const problem = environment.problem(12345)
  const right = solve(problem.answer as SatProblem)
  const cases: [title: string, text: string, reward: number, success: boolean][] = [
    ['a right answer cut off at its closing tag', `</think><SOLUTION>${right}</SOLUTION>`, 1.135, true],
    ['a right answer with an end of turn', `</think><SOLUTION>${right}</SOLUTION><|im_end|>`, -0.111, false],
    ['no answer', 'I do not know', -0.2, false],
    ['letters in the answer', `<SOLUTION>${right} ok</SOLUTION>`, -0.115, false],
  ]
  const rewards = await environment.reward(
    problem,
    cases.map(([, text]) => text),
    'native',
    new AbortController().signal,
  )
  for (const [i, [title, , reward, success]] of cases.entries()) {
    t.ok(Math.abs(rewards[i]!.reward - reward) < 1e-9, `${title}: ${rewards[i]!.reward} is ${reward}`)
    t.equal(rewards[i]!.success, success, title)
  }
  for (const mode of ['native', 'instructed'] satisfies ThinkingMode[])
    t.equal(judgeSat(problem.answer as SatProblem, `<SOLUTION>${right}</SOLUTION>`, mode).success, true, mode)
  await environment.close()
})

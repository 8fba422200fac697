import t from 'tap'
import { sameExpression } from '../../src/environment/expression.js'
import { judgeMath, type MathRow, mathEnvironment, mathGold, mathSplit } from '../../src/environment/math.js'
import { answersEqual, firstBoxed, lastBoxed, normalizedLatex } from '../../src/environment/math-answer.js'
import { startSymbolicJudge } from '../../src/environment/symbolic-judge.js'

const signal = new AbortController().signal
const never = async () => false

await t.test('LaTeX is normalised as the reference does it', async t => {
  const cases: [answer: string, normal: string][] = [
    [' \\dfrac{1}{2} ', '\\frac{1}{2}'],
    ['\\left( 1,\\, 2 \\right)', '(1,2)'],
    ['\\lefty', '\\lefty'],
    ['\\left_', '\\left_'],
    ['2 \\sqrt{X}', '2\\sqrt{x}'],
    ['a\u00a0\\;b\\!\\:c', 'abc'],
  ]
  for (const [answer, normal] of cases) t.equal(normalizedLatex(answer), normal, answer)
})

await t.test('boxed answers', async t => {
  const solution = 'so \\boxed{\\frac{1}{2}} and then \\boxed{3}.'
  t.equal(firstBoxed(solution), '\\frac{1}{2}')
  t.equal(lastBoxed(solution), '3')
  t.equal(firstBoxed('\\boxed{1 and \\boxed{2}'), '', 'a box that is not closed gives nothing')
  t.same(mathGold({ problem: '', solution: '\\boxed{1 and \\boxed{2}' }), { answer: '', successAnswer: '2' })
})

await t.test('two answers are equal as text, as expressions or as numbers', async t => {
  const cases: [predicted: string, gold: string, equal: boolean][] = [
    ['\\tfrac12', '\\frac12', true],
    ['3.0000001', '3', true],
    ['3.000002', '3', false],
    ['007', '7', true],
    ['1e3', '1000', true],
    ['nan', 'NaN ', true],
    ['inf', 'infinity', false],
    ['', '', false],
  ]
  for (const [predicted, gold, equal] of cases)
    t.equal(await answersEqual(predicted, gold, never, signal), equal, `${predicted} and ${gold}`)
  t.ok(await answersEqual('a', 'b', async () => true, signal), 'the symbolic judge has its say')
  t.notOk(await answersEqual('1', '2', async () => t.fail('asked about two plain numbers'), signal))
})

await t.test('expressions without sympy', async t => {
  const cases: [a: string, b: string, same: boolean | undefined][] = [
    ['1/2', '0.5', true],
    ['x+1', '1+x', true],
    ['(x+1)**2', 'x**2+2*x+1', true],
    ['(x**2-1)/(x-1)', 'x+1', true],
    ['-x**2', '(-x)**2', false],
    ['2**-1', '.5', true],
    ['2**3**2', '512', true],
    ['1/2/2', '1/4', true],
    ['a*b', 'b*a', true],
    ['x^2', 'x*x', undefined],
    ['2x', '2*x', undefined],
    ['sqrt(4)', '2', undefined],
    ['1/0', '1/0', undefined],
    ['1/(x-x)', '1', undefined],
    ['(', '1', undefined],
    ['', '1', undefined],
    ['10**10**10', '1', undefined],
    ['(a+b+c+d)**32', '1', undefined],
    ['('.repeat(300), '1', undefined],
    ['-'.repeat(300), '1', undefined],
  ]
  for (const [a, b, same] of cases) t.equal(sameExpression(a, b), same, `${a} and ${b}`)
})

await t.test('sympy, where Python has it, answers as in the reference', async t => {
  let warned = ''
  const symbolic = await startSymbolicJudge('python3', message => {
    warned = message
  })
  t.teardown(() => symbolic.close())
  const cases: [a: string, b: string, equal: boolean][] = [
    ['1/2', '0.5', true],
    ['x+1', '1+x', true],
    ['x+1', 'x+2', false],
    ['\\frac{1}{2}', '1/2', false],
    ['__import__("os").system("true")', '1', false],
  ]
  for (const [a, b, equal] of cases) t.equal(await symbolic.judge(a, b, signal), equal, `${a} and ${b}`)
  if (warned) t.match(warned, /has no sympy: .* Install sympy/)
  else t.ok(await symbolic.judge('sqrt(8)', '2*sqrt(2)', signal))
})

/** Sizes of the hub's train subjects (7,500 rows). */
const SIZES = [1744, 771, 870, 1295, 869, 1205, 746]
const subjects = SIZES.map((size, subject) =>
  Array.from({ length: size }, (_, i): MathRow => ({ problem: `p${subject}.${i}`, solution: `\\boxed{${i}}` })),
)

await t.test('validation rows are held back subject by subject', async t => {
  const train = mathSplit(subjects, 'train')
  const val = mathSplit(subjects, 'val')
  t.equal(train.length, 7000)
  t.equal(val.length, 500)
  t.equal(new Set([...train, ...val]).size, 7500)
  const share = (subject: number) => val.filter(row => row.problem.startsWith(`p${subject}.`)).length
  t.same([0, 1, 2, 3, 4, 5, 6].map(share), [116, 51, 58, 86, 58, 80, 51], 'the last subject takes what is left')
  t.equal(mathSplit(subjects, 'test').length, 7500, 'the test rows are not parted')
})

await t.test('rewards of a group', async t => {
  const environment = mathEnvironment(subjects[0]!, { judge: never, close() {} })
  const problem = environment.problem(0xffffffff)
  t.equal(problem.row, 1743)
  const rewards = await environment.reward(
    problem,
    ['</think><SOLUTION>1743</SOLUTION>', '<SOLUTION>1</SOLUTION>', 'nothing'],
    'native',
    signal,
  )
  t.same(
    rewards.map(({ success }) => success),
    [true, false, false],
  )
  t.ok(Math.abs(rewards[0]!.reward - 0.805) < 1e-9)
  t.equal(rewards[2]!.reward, 0)
  const broken = await judgeMath({ answer: '', successAnswer: '2' }, '<SOLUTION>2</SOLUTION>', 'native', never, signal)
  t.match(
    broken,
    { success: true, components: [0, 0.3, 0, 0.2] },
    'a row with a broken box gives success without reward',
  )
  await environment.close()
})

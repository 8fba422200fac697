import t from 'tap'
import { bundledGsm8kFolder } from '../../src/environment/dataset/dataset.js'
import { gsm8kEnvironment, gsm8kSplit, judgeGsm8k } from '../../src/environment/gsm8k.js'
import { comparable, goldAnswer, numberIn } from '../../src/environment/gsm8k-answer.js'
import { openEnvironment } from '../../src/environment/index.js'

const byText = (a: string, b: string) => (a < b ? -1 : 1)
const signal = new AbortController().signal

await t.test('gold answers are read as the reference reads them', async t => {
  const cases: [solution: string, gold: string][] = [
    ['blah\n#### 42', '42'],
    ['#### 1\n#### 2 ', '2'],
    ['####\n\n 7', '7'],
    ['first 7 then 1,5', '15'],
    ['a line\n\x0c last \u2028 ', 'last'],
    ['', ''],
  ]
  t.same(
    cases.map(([solution]) => goldAnswer(solution)),
    cases.map(([, gold]) => gold),
  )
})

await t.test('numbers in a solution', async t => {
  const cases: [solution: string, number: string, alone: boolean][] = [
    [' 42 ', '42', true],
    ['4 2', '4', true],
    ['-3.5', '-3.5', true],
    ['1,234', '1234', true],
    ['1,234,567', '1234', true],
    ['$5', '5', false],
    ['٤٢', '٤٢', true],
    ['none', '', false],
  ]
  for (const [solution, number, alone] of cases) t.same(numberIn(solution), { number, alone }, solution)
  t.equal(comparable(' 12. \n'), '12')
  t.equal(comparable(`1${'. '.repeat(500_000)}x`).length, 1_000_002, 'in linear time')
})

await t.test('a gold answer with a thousands separator is never matched, as in the reference', async t => {
  t.equal(judgeGsm8k('#### 1,234', '<SOLUTION>1234</SOLUTION>', 'native').success, false)
  t.equal(judgeGsm8k('', 'no solution', 'native').success, true, 'and nothing equals an empty gold answer')
})

await t.test('validation rows are held back from the train rows', async t => {
  const rows = Array.from({ length: 1000 }, (_, i) => ({ question: `q${i}`, answer: `#### ${i}` }))
  const train = gsm8kSplit(rows, 'train')
  const val = gsm8kSplit(rows, 'val')
  t.equal(train.length, 750)
  t.equal(val.length, 250)
  t.same(
    [...train, ...val].map(row => row.question).sort(byText),
    rows.map(row => row.question).sort(byText),
    'together they are all rows',
  )
  t.throws(() => gsm8kSplit(rows.slice(0, 10), 'val'), /10 rows, fewer than the 250/)
  const environment = gsm8kEnvironment(train)
  t.equal(environment.problem(0).row, 0)
  t.equal(environment.problem(0xffffffff).row, 749, 'the largest seed takes the last row')
})

await t.test('the bundled test questions open without a network', async t => {
  const environment = await openEnvironment('gsm8k', {
    params: { split: 'test' },
    datasetFolder: bundledGsm8kFolder(),
    stateFolder: t.testdir({}),
    signal,
  })
  const problem = environment.problem(0x80000000)
  t.equal(problem.row, 659)
  const answer = goldAnswer(problem.answer as string)
  const [right, wrong] = await environment.reward(
    problem,
    [`</think><SOLUTION>${answer}</SOLUTION>`, '</think><SOLUTION>no idea</SOLUTION>'],
    'native',
    signal,
  )
  t.ok(right!.success)
  t.ok(Math.abs(right!.reward - 0.735) < 1e-9)
  t.notOk(wrong!.success)
  await environment.close()
})

await t.test('what cannot be mined is refused with a reason', async t => {
  const open = (id: string, params: Record<string, unknown>) =>
    openEnvironment(id, { params, datasetFolder: bundledGsm8kFolder(), stateFolder: t.testdirName, signal })
  await t.rejects(open('affine_trace', {}), { name: 'EnvironmentRefused', message: /validators .* do not know/ })
  await t.rejects(open('gsm8k', { split: 'dev' }), {
    message: /asks for split "dev" of gsm8k, which has train, val, test/,
  })
  await t.rejects(open('gsm8k', {}), { name: 'DatasetError', message: /openai\/gsm8k main train: nothing of it in/ })
})

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openEnvironment } from '../../src/environment/index.js'
import { type MbppRow, mbppPrompt, mbppSplit, mbppTests } from '../../src/environment/mbpp.js'
import { sharedAbsent, sharedFolder } from '../helpers/shared.js'

const signal = new AbortController().signal

const row = (n: number): MbppRow => ({
  text: `task ${n}`,
  code: `def add${n}(x):\n  return x + ${n}`,
  test_list: [`assert add${n}(1) == ${n + 1}`, `assert add${n}(2) == ${n + 2}`],
  test_setup_code: '',
  test_imports: [],
})
const rows = (from: number, count: number) => Array.from({ length: count }, (_, i) => row(from + i))

await t.test('mbpp: the prompt shows the first signature of the reference solution', async t => {
  const cases: [code: string, prompt: string][] = [
    ['import math\ndef f(a):\r\n  pass', 'T\n\ndef f(a):\n    pass'],
    ['class A:\n    def m(self): pass', 'T\n\ndef m(self): pass\n    pass'],
    ['async def f(): pass', 'T'],
    ['', 'T'],
  ]
  for (const [code, prompt] of cases) t.equal(mbppPrompt({ text: 'T', code }), prompt)
})

await t.test('mbpp: imports and set-up code stand in front of every test', async t => {
  const bare = { test_list: ['a', 'b'], test_setup_code: '', test_imports: [] }
  t.same(mbppTests(bare), ['a', 'b'])
  t.same(mbppTests({ ...bare, test_setup_code: 's' }), ['\ns\na', '\ns\nb'])
  t.same(mbppTests({ ...bare, test_imports: ['import i', 'import j'], test_setup_code: 's' }), [
    'import i\nimport j\ns\na',
    'import i\nimport j\ns\nb',
  ])
})

await t.test('mbpp: the test rows are shared out', async t => {
  const parts = { train: rows(0, 10), validation: rows(100, 5), test: rows(200, 20) }
  const train = mbppSplit(parts, 'train')
  const validation = mbppSplit(parts, 'validation')
  t.same(train.slice(0, 10), parts.train)
  t.same(validation.slice(0, 5), parts.validation)
  t.equal(train.length, 26)
  t.equal(validation.length, 9)
  t.equal(new Set([...train, ...validation].map(({ text }) => text)).size, 35)
})

await t.test('mbpp and python_code: from a folder to rewards', async t => {
  const folder = t.testdir({})
  await mkdir(join(folder, 'full'))
  const parts = { train: rows(0, 3), validation: rows(10, 2), test: rows(20, 5) }
  for (const [split, some] of Object.entries(parts))
    await writeFile(
      join(folder, 'full', `${split}.jsonl`),
      some.map(one => JSON.stringify({ task_id: 1, ...one })).join('\n'),
    )
  const open = (id: string, params: Record<string, unknown>) =>
    openEnvironment(id, { params, datasetFolder: folder, stateFolder: folder, signal })

  for (const id of ['mbpp', 'python_code']) {
    const environment = await open(id, {})
    const problem = environment.problem(8)
    t.equal(problem.row, 1, 'eight modulo the seven rows of train')
    t.equal(problem.prompt, 'task 1\n\ndef add1(x):\n    pass')
    const rewards = await environment.reward(
      problem,
      [
        '</think><SOLUTION>def add1(x):\n  return x + 1</SOLUTION><|im_end|>',
        '</think><SOLUTION>def add1(x):\n  return 2</SOLUTION><|im_end|>',
        '</think><SOLUTION>def add1(x) return 2</SOLUTION><|im_end|>',
        'I cannot',
      ],
      'native',
      signal,
    )
    t.same(
      rewards.map(({ success }) => success),
      [true, false, false, false],
    )
    for (const [i, reward] of [1, 0.65, 0.2, 0].entries())
      t.ok(Math.abs(rewards[i]!.reward - reward) < 1e-9, `reward ${rewards[i]!.reward} is ${reward}`)
    await environment.close()
  }
  const validation = await open('mbpp', { split: 'val' })
  t.equal(validation.problem(0).prompt, 'task 10\n\ndef add10(x):\n    pass', 'val is another name for validation')
  await validation.close()
  await t.rejects(open('mbpp', { split: 'test' }), {
    name: 'EnvironmentRefused',
    message: /parted among train and validation/,
  })
  await t.rejects(
    openEnvironment('mbpp', {
      params: {},
      datasetFolder: folder,
      stateFolder: folder,
      signal,
      python: '/nowhere/python3',
    }),
    { name: 'RewardError', message: /does not start with \/nowhere\/python3/ },
    'an environment without a judge does not open',
  )
})

await t.test('humaneval: the real rows', { skip: sharedAbsent }, async t => {
  const environment = await openEnvironment('humaneval', {
    params: { split: 'train' },
    datasetFolder: join(sharedFolder, 'data', 'humaneval'),
    stateFolder: t.testdir({}),
    signal,
  })
  t.teardown(() => environment.close())
  const problem = environment.problem(164 * 7 + 3)
  t.equal(problem.row, 3)
  const right =
    'def below_zero(ops):\n  total = 0\n  for op in ops:\n    total += op\n    if total < 0:\n      return True\n  return False'
  const typed = `from typing import List\n${right}`
  const rewards = await environment.reward(
    problem,
    [right, typed].map(code => `</think><SOLUTION>${code}</SOLUTION>`),
    'native',
    signal,
  )
  t.ok(rewards[0]!.success)
  t.notOk(rewards[1]!.success, 'typing may not be imported, as in the reference')
})

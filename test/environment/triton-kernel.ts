import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openEnvironment } from '../../src/environment/index.js'
import { kernelSplit } from '../../src/environment/kernelbench.js'
import { tritonPrompt } from '../../src/environment/triton-kernel.js'

const signal = new AbortController().signal
const level = (number: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ code: `# ${number}.${i}`, level: number }))

await t.test('every level is parted on its own', async t => {
  const rows = [...level(1, 10), ...level(2, 3)]
  t.equal(kernelSplit(rows, 'train').length, 10)
  t.equal(kernelSplit(rows, 'val').length, 3, 'a fifth of ten, and at least one of three')
  t.same(kernelSplit(rows, 'all'), [...kernelSplit(rows, 'train'), ...kernelSplit(rows, 'val')])
  t.same(
    kernelSplit([...rows].reverse(), 'val').map(row => row.level),
    [1, 1, 2],
    'levels go in ascending order',
  )
})

await t.test('the module stands in the prompt as it is', async t => {
  t.match(tritonPrompt('x = "$& {pytorch_code}"'), '```python\nx = "$& {pytorch_code}"\n```')
})

await t.test('from a folder to rewards', async t => {
  const folder = t.testdir({})
  await mkdir(join(folder, 'data'))
  for (const number of [1, 2, 3])
    await writeFile(
      join(folder, 'data', `level_${number}.jsonl`),
      level(number, 10)
        .map(row => JSON.stringify(row))
        .join('\n'),
    )
  const open = (params: Record<string, unknown>) =>
    openEnvironment('triton_kernel', { params, datasetFolder: folder, stateFolder: folder, signal })

  const environment = await open({})
  t.teardown(() => environment.close())
  const problem = environment.problem(0xffffffff)
  t.equal(problem.row, 23, 'three levels are enough')
  const kernel = 'import torch\nimport triton\n@triton.jit\ndef k(): pass\nclass ModelNew (torch.nn.Module): pass'
  const cases: [title: string, text: string, reward: number, success: boolean][] = [
    ['a whole kernel', `</think><SOLUTION>${kernel}</SOLUTION><|im_end|>`, 0.35, true],
    ['one that does not compile', `</think><SOLUTION>${kernel} return</SOLUTION>`, 0.3, false],
    ['one without torch', `<SOLUTION>${kernel.replaceAll('torch', 'torsh')}</SOLUTION>`, 0.05 + 0.075 + 0.1, false],
    ['no kernel', 'I cannot', 0, false],
  ]
  const rewards = await environment.reward(
    problem,
    cases.map(([, text]) => text),
    'native',
    signal,
  )
  for (const [i, [title, , reward, success]] of cases.entries()) {
    t.ok(Math.abs(rewards[i]!.reward - reward) < 1e-9, `${title}: ${rewards[i]!.reward} is ${reward}`)
    t.equal(rewards[i]!.success, success, title)
  }

  await t.rejects(open({ gpu_eval: true }), { name: 'EnvironmentRefused', message: /evaluated on a GPU/ })
  await t.rejects(open({ dataset_path: 'all.parquet' }), { name: 'EnvironmentRefused', message: /KernelBench only/ })
  await t.rejects(open({ split: 'test' }), { name: 'EnvironmentRefused', message: /train, val, all/ })
  await t.rejects(
    openEnvironment('triton_kernel', { params: {}, datasetFolder: join(folder, 'none'), stateFolder: folder, signal }),
    { name: 'DatasetError', message: /KernelBench level_1: nothing of it/ },
  )
})

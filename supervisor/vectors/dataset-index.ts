import type { Environment } from '../../src/environment/environment.js'
import { type Gsm8kSplit, gsm8kEnvironment, gsm8kSplit } from '../../src/environment/gsm8k.js'
import { humanEvalEnvironment } from '../../src/environment/humaneval.js'
import { type KernelSplit, kernelSplit } from '../../src/environment/kernelbench.js'
import { type MathSplit, mathEnvironment, mathSplit } from '../../src/environment/math.js'
import { type MbppSplit, mbppEnvironment, mbppPrompt, mbppSplit } from '../../src/environment/mbpp.js'
import { tritonKernelEnvironment } from '../../src/environment/triton-kernel.js'
import { type Check, type Checks, same, type VectorFile } from './check.js'

const numberedRows = <Row>(n: number, row: (index: number) => Row) => Array.from({ length: n }, (_, i) => row(i))

/** Rows of the public data sets by their number, with the sizes the reference saw; only their order matters here. */
function numberedSource(source: string, file: VectorFile): { size: number; at: (seed: number) => number } {
  const [environment, split] = source.split('/')
  const noJudges = {
    facts: { python: '' },
    judge: () => Promise.reject(new Error('nothing is judged here')),
    close() {},
  }
  let opened: Environment
  let size: number
  if (environment === 'mbpp') {
    const row = (text: string) => ({ text, code: '', test_list: [], test_setup_code: '', test_imports: [] })
    const rows = mbppSplit(
      {
        train: numberedRows(374, i => row(`train ${i}`)),
        validation: numberedRows(90, i => row(`validation ${i}`)),
        test: numberedRows(500, i => row(`test ${i}`)),
      },
      split as MbppSplit,
    )
    const redistributed = rows.filter(({ text }) => text.startsWith('test ')).map(({ text }) => Number(text.slice(5)))
    const permutation: number[] = file.mbpp_test_permutation_500
    const wanted = split === 'train' ? permutation.slice(0, 400) : permutation.slice(400)
    const wrong = same(redistributed, wanted)
    if (wrong) throw new Error(`the redistributed rows differ: ${wrong}`)
    opened = mbppEnvironment('mbpp', rows, noJudges)
    size = rows.length
  } else if (environment === 'humaneval') {
    const rows = numberedRows(164, i => ({ prompt: String(i), test: '', entry_point: '' }))
    opened = humanEvalEnvironment(rows, noJudges)
    size = rows.length
  } else if (environment === 'gsm8k') {
    const hub = split === 'test' ? 1319 : file.gsm8k_hf_train_size_assumed
    const rows = gsm8kSplit(
      numberedRows(hub, i => ({ question: String(i), answer: '' })),
      split as Gsm8kSplit,
    )
    if (split !== 'test') {
      const held = new Set(file.gsm8k_val_indices_sorted.map(String))
      const wrong = rows.find(({ question }) => held.has(question) !== (split === 'val'))
      if (wrong) throw new Error(`row ${wrong.question} does not belong to ${split}`)
    }
    opened = gsm8kEnvironment(rows)
    size = rows.length
  } else if (environment === 'math') {
    const sizes = split === 'test' ? [1187, 474, 479, 903, 540, 871, 546] : [1744, 771, 870, 1295, 869, 1205, 746]
    const rows = mathSplit(
      sizes.map(n => numberedRows(n, i => ({ problem: String(i), solution: '' }))),
      split as MathSplit,
    )
    opened = mathEnvironment(rows, { judge: async () => false, close() {} })
    size = rows.length
  } else if (environment === 'kernelbench') {
    const rows = kernelSplit(
      [100, 100, 50, 20].flatMap((n, i) => numberedRows(n, row => ({ code: String(row), level: i + 1 }))),
      split as KernelSplit,
    )
    opened = tritonKernelEnvironment(rows, noJudges)
    size = rows.length
  } else throw new Error(`unknown source "${source}"`)
  return { size, at: seed => opened.problem(seed).row }
}

const datasetIndex: Check = (file, index) => {
  const expected = file.cases[index]
  if (expected.source === 'mbpp question text') return same(mbppPrompt(expected), expected.question)
  const { size, at } = numberedSource(expected.source, file)
  return same([size, at(expected.seed)], [expected.size, expected.index])
}

/** One generator runs through all levels of the file. */
const kernelbenchSplit: Check = (file, index) => {
  const expected = file.cases[index]
  const rows = file.cases.flatMap(({ level, n }) => numberedRows(n, i => ({ code: String(i), level })))
  const held = kernelSplit(rows, 'val')
    .filter(({ level }) => level === expected.level)
    .map(({ code }) => Number(code))
  return same([held.length, held], [expected.n_val, expected.val_indices_sorted])
}

/** Which row a seed takes. */
export const datasetIndexChecks: Checks = {
  'dataset_index.json': datasetIndex,
  'kernelbench_split.json': kernelbenchSplit,
}

import type { ThinkingMode } from '../checkpoint/metadata.js'
import { PYTHON_WHITESPACE, strip } from '../protocol/python-text.js'
import { compileCode, startCodeJudges } from './code-judge.js'
import type { Environment } from './environment.js'
import { type JudgePool, judgeAll } from './judge/pool.js'
import { KERNEL_SPLITS, type KernelRow, kernelSplit, loadKernelBench } from './kernelbench.js'
import { EnvironmentRefused, type OpenEnvironment, splitOf } from './open-options.js'
import { scaledIndex } from './problem-index.js'
import { readTags } from './solution.js'
import { TRITON_PROMPT } from './triton-prompt.js'
import { type Judgement, weighted } from './weighted.js'

/** compile, structure, GPU compile, GPU correctness, format, thinking (grail/environments/gpu_kernel/rewards.py:41-185, 54d6342). Without a GPU the middle two are 0, and 0.35 is the most. */
const WEIGHTS = [0.05, 0.1, 0, 0.65, 0.1, 0.1]
/** Code points after the solution that the format component overlooks. */
const LITTLE_TRAILING = 50

const SPACE = `[${PYTHON_WHITESPACE}]`
/** What a solution's text has to mention, a quarter of the structure component each (grail/environments/gpu_kernel/parser.py, 54d6342). */
const STRUCTURE = [
  new RegExp(`class${SPACE}+ModelNew${SPACE}*\\(`),
  /@triton\.jit/,
  new RegExp(`(?:import|from)${SPACE}+triton`),
  new RegExp(`(?:import|from)${SPACE}+torch`),
]

/** The user message for a PyTorch module. */
export function tritonPrompt(pytorchCode: string): string {
  return TRITON_PROMPT.replace('{pytorch_code}', () => pytorchCode)
}

/** The part of the reward that needs no GPU: what validators compute when theirs does not evaluate kernels either. */
export async function judgeKernel(
  text: string,
  mode: ThinkingMode,
  pool: JudgePool,
  signal: AbortSignal,
): Promise<Judgement> {
  const tags = readTags(text, mode)
  const code = strip(tags.solution ?? '')
  const syntax = code === '' ? 'invalid' : await compileCode(code, pool, signal)
  const unreadable = syntax === 'unreadable'
  const found = unreadable ? 0 : STRUCTURE.filter(pattern => pattern.test(code)).length
  const trailing = unreadable ? 0 : tags.trailing
  const components = [
    syntax === 'valid' ? 1 : 0,
    found / STRUCTURE.length,
    0,
    0,
    tags.solution !== undefined && trailing < LITTLE_TRAILING ? 1 : 0,
    tags.hasThinking ? 1 : 0,
  ]
  return {
    reward: weighted(components, WEIGHTS),
    success: syntax === 'valid' && found === STRUCTURE.length,
    components,
  }
}

/** Triton kernels for the PyTorch modules of KernelBench, rewarded without running them. */
export function tritonKernelEnvironment(rows: readonly KernelRow[], pool: JudgePool): Environment {
  return {
    id: 'triton_kernel',
    problem(seed) {
      const row = scaledIndex(seed, rows.length)
      return { environment: 'triton_kernel', seed, row, prompt: tritonPrompt(rows[row]!.code), answer: null }
    },
    reward: (_, texts, mode, signal) =>
      judgeAll(
        texts,
        async (text, either) => {
          const { reward, success } = await judgeKernel(text, mode, pool, either)
          return { reward, success }
        },
        signal,
      ),
    async close() {
      pool.close()
    },
  }
}

/** @throws EnvironmentRefused when the checkpoint wants kernels run on a GPU, or another data set: rewards would not be the validators' */
export const openTritonKernel: OpenEnvironment = async options => {
  const { params } = options
  if (params.gpu_eval)
    throw new EnvironmentRefused(
      'the checkpoint has kernels evaluated on a GPU (env_params.gpu_eval); this build judges syntax and structure only, so its rewards would differ from the validators’',
    )
  if (params.dataset_path)
    throw new EnvironmentRefused(
      `the checkpoint takes its kernels from ${JSON.stringify(params.dataset_path)} (env_params.dataset_path); this build knows KernelBench only`,
    )
  const split = splitOf('triton_kernel', params, KERNEL_SPLITS)
  const rows = kernelSplit(await loadKernelBench(options, options.signal), split)
  return tritonKernelEnvironment(rows, await startCodeJudges(options.python ?? 'python3'))
}

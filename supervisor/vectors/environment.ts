import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { ThinkingMode } from '../../src/checkpoint/metadata.js'
import { compileChatTemplate, INSTRUCTED_TEMPLATE } from '../../src/environment/chat-template.js'
import { judgeCode, startCodeJudges } from '../../src/environment/code-judge.js'
import { locatePart } from '../../src/environment/dataset/locate.js'
import { type DatasetPart, partName } from '../../src/environment/dataset/part.js'
import { readRows } from '../../src/environment/dataset/rows.js'
import type { Environment } from '../../src/environment/environment.js'
import { FORK_SYSTEM_PROMPT, FORK_TEMPLATE } from '../../src/environment/fork-template.js'
import { GSM8K_SPLITS, gsm8kEnvironment, gsm8kPart, gsm8kSplit, judgeGsm8k } from '../../src/environment/gsm8k.js'
import { HUMANEVAL_PART, humanEvalEnvironment, humanEvalTests } from '../../src/environment/humaneval.js'
import type { JudgePool } from '../../src/environment/judge/pool.js'
import { judgeMath } from '../../src/environment/math.js'
import type { SymbolicJudge } from '../../src/environment/math-answer.js'
import { mbppTests } from '../../src/environment/mbpp.js'
import { splitOf } from '../../src/environment/open-options.js'
import { judgeSat, satEnvironment } from '../../src/environment/sat.js'
import { satDifficulty, satProblem, satPrompt } from '../../src/environment/sat-problem.js'
import { startSymbolicJudge } from '../../src/environment/symbolic-judge.js'
import { SOLUTION_CLOSE, SOLUTION_OPEN, THINKING, withSystemMessage } from '../../src/environment/thinking.js'
import type { Judgement } from '../../src/environment/weighted.js'
import { packageRoot } from '../../src/package-root.js'
import { PythonRandom, seedInteger } from '../../src/protocol/python-random.js'
import { deriveEnvSeed } from '../../src/protocol/seed.js'
import { type Check, type Checks, same, type VectorFile } from './check.js'

/** A double from the text of Python's float.hex(). */
function fromFloatHex(text: string): number {
  const match = /^(-?)0x([01])\.([0-9a-f]+)p([+-]\d+)$/.exec(text)
  if (!match) throw new Error(`"${text}" is not a float.hex() text`)
  const fraction = Number.parseInt(match[3]!, 16) / 16 ** match[3]!.length
  const value = (Number(match[2]) + fraction) * 2 ** Number(match[4])
  return match[1] ? -value : value
}

function seedOf(recorded: { seed_kind: string; seed_hex?: string; seed?: string }): Uint8Array | string | bigint {
  if (recorded.seed_kind === 'bytes') return Buffer.from(recorded.seed_hex!, 'hex')
  if (recorded.seed_kind === 'int') return BigInt(recorded.seed!)
  if (recorded.seed_kind === 'str') return recorded.seed!
  throw new Error(`unknown seed_kind "${recorded.seed_kind}"`)
}

/** Every recorded list started from a freshly seeded generator. */
const pythonRandom: Check = (file, index) => {
  const { seed_int_hex, ...recorded } = file.cases[index]
  const seed = seedOf(recorded)
  const fresh = () => new PythonRandom(seed)
  const lists: Record<string, (expected: never[]) => unknown> = {
    getrandbits32: expected => {
      const random = fresh()
      return expected.map(() => Number(random.getrandbits(32)))
    },
    getrandbits_mixed: (expected: [number, string][]) => {
      const random = fresh()
      return expected.map(([bits]) => [bits, random.getrandbits(bits).toString()])
    },
    random: expected => {
      const random = fresh()
      return expected.map(() => random.random())
    },
    randbelow: (expected: [number, number][]) => {
      const random = fresh()
      return expected.map(([n]) => [n, random.randbelow(n)])
    },
  }
  const wanted: Record<string, unknown> = {}
  const got: Record<string, unknown> = {}
  if (seed_int_hex !== undefined) {
    wanted.seed_int_hex = seed_int_hex
    got.seed_int_hex = `0x${seedInteger(seed).toString(16)}`
  }
  for (const [name, expected] of Object.entries(recorded)) {
    if (!Array.isArray(expected)) continue
    wanted[name] = name === 'random' ? expected.map(fromFloatHex) : expected
    const of = /^(randint|sample_range|shuffle)_?(\d+)(?:_(\d+))?$/.exec(name)
    if (of?.[1] === 'shuffle') {
      const list = Array.from({ length: Number(of[2]) }, (_, i) => i)
      fresh().shuffle(list)
      got[name] = list
    } else if (of?.[1] === 'sample_range') got[name] = fresh().sampleRange(Number(of[2]), Number(of[3]))
    else if (of?.[1] === 'randint') {
      const random = fresh()
      got[name] = expected.map(() => random.randint(Number(of[2]), Number(of[3])))
    } else got[name] = lists[name]?.(expected as never[]) ?? `no check for the list ${name}`
  }
  return same(got, wanted)
}

const satProblems: Check = (file, index) => {
  const expected = file.cases[index]
  const problem = satProblem(expected.seed)
  return same(
    [problem.seed, satDifficulty(expected.seed), problem.variables, problem.clauses, satPrompt(problem)],
    [
      expected.seed_material,
      fromFloatHex(expected.difficulty_hex),
      expected.num_vars,
      expected.clauses,
      expected.user_prompt,
    ],
  )
}

const rewardSat: Check = (file, index) => {
  const expected = file.cases[index]
  const judged = judgeSat(satProblem(expected.seed), expected.completion, expected.mode)
  return same(
    [judged.reward, judged.success, judged.components],
    [expected.reward, expected.success, numbered(expected.components)],
  )
}

const chatTemplate: Check = (file, index) => {
  const { kind, mode, ...expected } = file.cases[index]
  const thinking = THINKING[mode as ThinkingMode]
  if (kind === 'config')
    return same(
      {
        thinking_open: thinking.openTag,
        thinking_close: thinking.closeTag,
        solution_open: SOLUTION_OPEN,
        solution_close: SOLUTION_CLOSE,
        system_prompt: thinking.systemPrompt,
        use_custom_template: thinking.customTemplate,
        enable_thinking: thinking.enableThinking,
      },
      expected,
    )
  if (kind === 'template') return same({ jinja: INSTRUCTED_TEMPLATE }, expected)
  const prepared = withSystemMessage(expected.messages, mode)
  const got: Record<string, unknown> = { messages: expected.messages, prepared }
  if (kind === 'prepare')
    got.apply_kwargs = {
      tokenize: false,
      add_generation_prompt: true,
      ...(thinking.enableThinking && { enable_thinking: true }),
    }
  else
    got.rendered = compileChatTemplate(INSTRUCTED_TEMPLATE, () => new Date(0))(prepared, {
      add_generation_prompt: true,
    })
  return same(got, expected)
}

const chatTemplateFork: Check = (file, index) =>
  same({ system_prompt: FORK_SYSTEM_PROMPT, jinja: FORK_TEMPLATE }, file.cases[index])

/** Public data sets lie beside the vectors' folder; they are only read here, never recorded. */
async function recordedRows<Row>(file: VectorFile, folder: string, part: DatasetPart<Row>): Promise<Row[]> {
  const place = join(file.folder, '..', '..', 'data', folder)
  const files = await locatePart(place, part)
  if (files.length === 0) throw new Error(`the data set ${partName(part)} is missing: nothing of it in ${place}`)
  return await readRows(part, files)
}

/** Environments over the recorded rows, opened once for all cases of a file. */
const realRows = new WeakMap<VectorFile, Map<string, Promise<Environment>>>()

function overRealRows(file: VectorFile, id: string, split: string | undefined): Promise<Environment> {
  const opened = realRows.get(file) ?? new Map<string, Promise<Environment>>()
  realRows.set(file, opened)
  const key = `${id} ${split}`
  const environment = opened.get(key) ?? openRealRows(file, id, split)
  opened.set(key, environment)
  return environment
}

async function openRealRows(file: VectorFile, id: string, split: string | undefined): Promise<Environment> {
  if (id === 'sat') return satEnvironment()
  if (id === 'gsm8k') {
    const wanted = splitOf(id, split === undefined ? {} : { split }, GSM8K_SPLITS)
    return gsm8kEnvironment(gsm8kSplit(await recordedRows(file, 'gsm8k', gsm8kPart(wanted)), wanted))
  }
  if (id === 'humaneval')
    return humanEvalEnvironment(await recordedRows(file, 'humaneval', HUMANEVAL_PART), await codeJudges())
  throw new Error(`no data set for the environment "${id}"`)
}

const envPromptsRealRows: Check = async (file, index) => {
  const expected = file.cases[index]
  const split: string | undefined = expected.env_params?.split
  const seed = expected.hotkey
    ? deriveEnvSeed(expected.hotkey, expected.window_hash, expected.problem_index)
    : expected.seed
  const problem = (await overRealRows(file, expected.env_id, split)).problem(seed)
  const prefix = expected.env_id === 'humaneval' ? 'humaneval' : (split ?? 'train')
  return same(
    [seed, `${prefix}_${problem.row}`, problem.prompt],
    [expected.seed, expected.task_id, expected.user_message],
  )
}

/** The Python that judges: the one of the project's own set-up where there is one. */
const python = [process.env.GRAIL_PYTHON, join(packageRoot, '.venv', 'bin', 'python')].find(
  path => path !== undefined && existsSync(path),
)

let judges: Promise<JudgePool> | undefined
/** Started by the first case that needs them; idle judges end with the program. */
function codeJudges(): Promise<JudgePool> {
  judges ??= startCodeJudges(python ?? 'python3')
  return judges
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

let symbolic: Promise<SymbolicJudge> | undefined
function symbolicJudge(): Promise<SymbolicJudge> {
  symbolic ??= startSymbolicJudge(python ?? 'python3', () => {}).then(({ judge }) => judge)
  return symbolic
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

/** Checks of seeds, problems, prompts and rewards. */
export const environmentChecks: Checks = {
  'chat_template.json': chatTemplate,
  'chat_template_fork.json': chatTemplateFork,
  'env_prompts_real_rows.json': envPromptsRealRows,
  'python_random.json': pythonRandom,
  'reward_gsm8k_math.json': rewardGsm8kMath,
  'reward_python_code.json': rewardPythonCode,
  'reward_sat.json': rewardSat,
  'sat_problems.json': satProblems,
}

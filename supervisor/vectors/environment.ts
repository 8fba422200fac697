import { join } from 'node:path'
import { locatePart } from '../../src/environment/dataset/locate.js'
import { type DatasetPart, partName } from '../../src/environment/dataset/part.js'
import { readRows } from '../../src/environment/dataset/rows.js'
import type { Environment } from '../../src/environment/environment.js'
import { GSM8K_SPLITS, gsm8kEnvironment, gsm8kPart, gsm8kSplit } from '../../src/environment/gsm8k.js'
import { HUMANEVAL_PART, humanEvalEnvironment } from '../../src/environment/humaneval.js'
import { splitOf } from '../../src/environment/open-options.js'
import { satEnvironment } from '../../src/environment/sat.js'
import { satDifficulty, satProblem, satPrompt } from '../../src/environment/sat-problem.js'
import { deriveEnvSeed } from '../../src/protocol/seed.js'
import { type Check, type Checks, same, type VectorFile } from './check.js'
import { datasetIndexChecks } from './dataset-index.js'
import { fromFloatHex } from './float-hex.js'
import { codeJudges } from './judges.js'
import { promptChecks } from './prompts.js'
import { pythonRandomChecks } from './python-random.js'
import { rewardChecks } from './rewards.js'

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

/** Checks of seeds, problems, prompts and rewards. */
export const environmentChecks: Checks = {
  ...pythonRandomChecks,
  ...datasetIndexChecks,
  ...promptChecks,
  ...rewardChecks,
  'env_prompts_real_rows.json': envPromptsRealRows,
  'sat_problems.json': satProblems,
}

import type { Profile } from './profile.js'

/** A fault at a place of the commit, as pydantic 2 names it: 'rollout.completion_length:greater_than'. */
type Fault = string
type Check = (value: unknown, at: string) => Fault[]

/** Texts pydantic reads as truth values, whatever their case. */
const TRUTH_TEXTS = new Set(['0', '1', 'off', 'on', 'f', 't', 'false', 'true', 'n', 'y', 'no', 'yes'])
const INTEGER_TEXT = /^\s*[+-]?\d+(_\d+)*(\.0*)?\s*$/
const FLOAT_TEXT = /^\s*[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?(e[+-]?\d+)?|\.\d+(_\d+)*(e[+-]?\d+)?|inf(inity)?|nan)\s*$/i

/**
 * What a validator's schema refuses in a commit, sorted; empty when it passes
 * (one-covenant/grail grail/schemas/rollout.py:49, 54d6342, a pydantic model in its lenient mode: numbers may come as
 * text, whole floats as integers). Lengths that other checks compare again are only checked as far as the schema does.
 * @param commit the commit as it is after reading the file; NaN and infinities may be numbers or their names as text
 */
export function commitSchemaFaults(commit: unknown, profile: Profile): string[] {
  if (!isDict(commit)) return ['model_type']
  const faults: Fault[] = []
  const field = (name: string, check: Check): boolean => {
    const found = requireField(commit, name, '', check)
    faults.push(...found)
    return found.length === 0
  }
  const tokensValid = field('tokens', listOf(integer, profile.minTokens))
  // a field that failed is not there for the checks across fields: its length counts as none
  const tokens = tokensValid ? (commit.tokens as unknown[]).length : 0
  if (field('commitments', listOf(dict)) && (commit.commitments as unknown[]).length !== tokens)
    faults.push('commitments:value_error')
  field('proof_version', text)
  field('model', model({ name: text, layer_index: integer }))
  field('signature', text)
  field('beacon', model({ randomness: hexText }))
  if (commit.env !== undefined && commit.env !== null)
    faults.push(...model({ id: text, seed: integer })(commit.env, 'env'))
  if (field('rollout', model(rolloutFields(profile)))) {
    const rollout = commit.rollout as Record<string, unknown>
    if (toNumber(rollout.prompt_length) + toNumber(rollout.completion_length) !== tokens)
      faults.push('rollout:value_error')
  }
  return [...new Set(faults)].sort()
}

function rolloutFields(profile: Profile): Record<string, Check> {
  const fields: Record<string, Check> = {
    prompt_length: bounded({ min: 0 }),
    completion_length: bounded({ above: 0, max: profile.maxNewTokens }),
    success: truth,
    total_reward: float,
    advantage: float,
    'token_logprobs?': listOf(float),
  }
  if (profile.parquet.extraRolloutFields.includes('assignment')) fields.assignment = listOf(truth)
  return fields
}

/** A nested object; a name with a question mark may be absent. Extra keys are ignored. */
function model(fields: Record<string, Check>): Check {
  return (value, at) => {
    if (!isDict(value)) return [`${at}:model_type`]
    return Object.entries(fields).flatMap(([name, check]) => {
      if (!name.endsWith('?')) return requireField(value, name, `${at}.`, check)
      const key = name.slice(0, -1)
      return value[key] === undefined ? [] : check(value[key], `${at}.${key}`)
    })
  }
}

function requireField(value: Record<string, unknown>, name: string, prefix: string, check: Check): Fault[] {
  const at = `${prefix}${name}`
  return value[name] === undefined ? [`${at}:missing`] : check(value[name], at)
}

function listOf(item: Check, min = 0): Check {
  return (value, at) => {
    if (!Array.isArray(value)) return [`${at}:list_type`]
    const faults = value.flatMap((element, index) => item(element, `${at}.${index}`))
    if (faults.length === 0 && value.length < min) return [`${at}:too_short`]
    return faults
  }
}

const text: Check = (value, at) => (typeof value === 'string' ? [] : [`${at}:string_type`])

const dict: Check = (value, at) => (isDict(value) ? [] : [`${at}:dict_type`])

const hexText: Check = (value, at) => {
  if (typeof value !== 'string') return [`${at}:string_type`]
  return /^[0-9a-fA-F]+$/.test(value) ? [] : [`${at}:string_pattern_mismatch`]
}

const integer: Check = (value, at) => {
  if (typeof value === 'boolean' || typeof value === 'bigint') return []
  if (typeof value === 'string') return INTEGER_TEXT.test(value) ? [] : [`${at}:int_parsing`]
  if (typeof value !== 'number') return [`${at}:int_type`]
  if (!Number.isFinite(value)) return [`${at}:finite_number`]
  return Number.isInteger(value) ? [] : [`${at}:int_from_float`]
}

const float: Check = (value, at) => {
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return []
  if (typeof value === 'string') return FLOAT_TEXT.test(value) ? [] : [`${at}:float_parsing`]
  return [`${at}:float_type`]
}

const truth: Check = (value, at) => {
  if (typeof value === 'boolean') return []
  if (typeof value === 'string') return TRUTH_TEXTS.has(value.toLowerCase()) ? [] : [`${at}:bool_parsing`]
  if (typeof value === 'number' || typeof value === 'bigint') {
    if (Number(value) === 0 || Number(value) === 1) return []
    return [Number.isInteger(Number(value)) ? `${at}:bool_parsing` : `${at}:bool_type`]
  }
  return [`${at}:bool_type`]
}

function bounded(limits: { min?: number; above?: number; max?: number }): Check {
  return (value, at) => {
    const faults = integer(value, at)
    if (faults.length > 0) return faults
    const number = toNumber(value)
    if (limits.above !== undefined && !(number > limits.above)) return [`${at}:greater_than`]
    if (limits.min !== undefined && !(number >= limits.min)) return [`${at}:greater_than_equal`]
    if (limits.max !== undefined && !(number <= limits.max)) return [`${at}:less_than_equal`]
    return []
  }
}

/** The number of a value that `integer` accepted. */
function toNumber(value: unknown): number {
  return typeof value === 'string' ? Number(value.replaceAll('_', '')) : Number(value)
}

function isDict(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

import type { Profile } from '../protocol/profile.js'
import { pythonFloat, pythonInt } from '../protocol/python-number.js'
import type { GenerationParams } from './metadata.js'

/** What a checkpoint's `generation_params` must hold (one-covenant/grail grail/environments/backends/base.py:71-199, 54d6342). */
export const GENERATION_FIELDS = ['max_tokens', 'temperature', 'top_p', 'top_k', 'repetition_penalty'] as const

/** Ranges of the sampling fields, inclusive (same place). */
const RANGES = {
  temperature: [0.01, 2],
  top_p: [0, 1],
  top_k: [0, 1000],
  repetition_penalty: [1, 2],
} as const

/**
 * Reads the sampling parameters of a checkpoint as the reference reads them: numbers may come as text or truth values,
 * whole numbers are truncated, max_tokens is clamped to the profile's cap, nothing else is adjusted
 * (grail/environments/backends/base.py:71-199, 54d6342). Throws RangeError naming the field; the window is then skipped.
 */
export function parseGenerationParams(raw: unknown, profile: Profile): GenerationParams {
  if (!isObject(raw) || raw.max_tokens === undefined) throw missing('max_tokens')
  const maxTokens = wholeNumber(raw, 'max_tokens')
  if (maxTokens <= 0n) throw new RangeError(`generation_params.max_tokens is ${maxTokens}; it must be above 0`)
  const absent = GENERATION_FIELDS.find(name => raw[name] === undefined)
  if (absent) throw missing(absent)
  const temperature = inRange('temperature', fraction(raw, 'temperature'))
  const topP = inRange('top_p', fraction(raw, 'top_p'))
  const topK = inRange('top_k', Number(wholeNumber(raw, 'top_k')))
  const repetitionPenalty = inRange('repetition_penalty', fraction(raw, 'repetition_penalty'))
  const cap = profile.maxNewTokens
  return {
    maxTokens: maxTokens > BigInt(cap) ? cap : Number(maxTokens),
    temperature,
    topP,
    topK,
    repetitionPenalty,
  }
}

function wholeNumber(raw: Record<string, unknown>, name: string): bigint {
  try {
    return pythonInt(raw[name])
  } catch (cause) {
    throw unreadable(name, raw[name], 'a whole number', cause)
  }
}

function fraction(raw: Record<string, unknown>, name: string): number {
  try {
    return pythonFloat(raw[name])
  } catch (cause) {
    throw unreadable(name, raw[name], 'a number', cause)
  }
}

function inRange(name: keyof typeof RANGES, value: number): number {
  const [min, max] = RANGES[name]
  if (!(value >= min && value <= max))
    throw new RangeError(`generation_params.${name} is ${value}; it must be between ${min} and ${max}`)
  return value
}

function missing(name: string): RangeError {
  return new RangeError(`generation_params.${name} is missing; the checkpoint's publisher must write all five fields`)
}

function unreadable(name: string, value: unknown, kind: string, cause: unknown): RangeError {
  const shown = String(JSON.stringify(value)).slice(0, 80)
  return new RangeError(`generation_params.${name} is ${shown}, which is not ${kind}`, { cause })
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

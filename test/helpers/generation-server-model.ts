import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readBigram, sampleBigram } from './bigram-model.js'
import type { ServerControl } from './generation-server-control.js'

/** What the stand-in for a generation server generates with. */
export interface StandInModel {
  table: Float64Array[]
  /** What config.json and generation_config.json name: the real servers stop on all of these. */
  stops: Set<number>
}

/** Without weights every token is as likely as any other. */
export function loadModel(folder: string): StandInModel {
  const read = (file: string): { eos_token_id?: number | number[] } =>
    existsSync(join(folder, file)) ? (JSON.parse(readFileSync(join(folder, file), 'utf8')) as object) : {}
  const ids = ['config.json', 'generation_config.json'].flatMap(file => read(file).eos_token_id ?? [])
  return { table: readBigram(folder), stops: new Set(ids) }
}

export interface Asked {
  prompt: number[]
  maxTokens: number
  temperature: number
  topP: number
  topK: number
  repetitionPenalty: number
  stops: Set<number>
  /** Added to the logits of these ids. */
  bias: Record<string, number>
}

/** An error answer: status, and the body in the server's own form. */
export class Refused extends Error {
  readonly status: number
  readonly body: unknown
  constructor(status: number, message: string, body: unknown) {
    super(message)
    this.status = status
    this.body = body
  }
}

/** A group's requests go wrong, not the health check's, unless the control file says so. */
export function goesWrong(maxTokens: number, control: ServerControl): ServerControl['trouble'] {
  return maxTokens > 2 || control.probes ? control.trouble : undefined
}

export function generate(
  { table }: StandInModel,
  asked: Asked,
  trouble: ServerControl['trouble'],
): { ids: number[]; logprobs: number[] } {
  const { maxTokens, stops, bias } = asked
  const biased = Object.keys(bias).length === 0 ? table : table.map(row => row.map((x, id) => x + (bias[id] ?? 0)))
  const made = sampleBigram(biased, asked.prompt, asked, { maxTokens, stops })
  if (trouble === 'early') return { ids: [5, 6, 7], logprobs: [-1, -1, -1] }
  if (trouble === 'past-eos') return { ids: [2, ...Array(maxTokens - 1).fill(5)], logprobs: made.logprobs }
  if (trouble === 'bad-id') return { ids: Array(maxTokens).fill(259), logprobs: made.logprobs }
  return made
}

export const OUT_OF_MEMORY = 'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB'

import { RewardError } from '../environment/environment.js'
import { completionDigest } from '../protocol/completion-digest.js'
import { softFailureLimit } from '../protocol/distribution.js'
import { groupFault } from '../protocol/group-check.js'
import { pythonInt } from '../protocol/python-number.js'
import { deriveEnvSeed } from '../protocol/seed.js'
import type { WindowReader } from '../window/parquet/reader.js'
import { type Findings, shown } from './findings.js'
import { type Inference, inferenceOf } from './inference.js'
import type { JudgeOptions } from './judge-options.js'
import { inexactSketches, replayOf } from './replay.js'
import { beforePipeline, type Fault, PIPELINE, type RowContext, type RowFacts } from './row-checks.js'
import type { Survey } from './survey.js'

/** What the opened rows came to; `reason` is null when they passed. */
export interface RowsOutcome {
  reason: string | null
  checked: number
  valid: number
  unique: number
  notes: string[]
}

interface Opened {
  row: number
  inference: Inference
}

/**
 * Judges the opened rows in file order until one costs the file, then their groups (protocol.md §7.3–7.4;
 * one-covenant/grail grail/validation/miner_validator.py:901-1505, 54d6342).
 */
export async function checkRows(
  reader: WindowReader,
  survey: Survey,
  opened: 'all' | string[],
  options: JudgeOptions,
  findings: Findings,
  signal: AbortSignal,
): Promise<RowsOutcome> {
  const { profile } = options
  const context: RowContext = {
    profile,
    ...survey.expected,
    verify: options.verify,
    checkpoint: options.checkpoint,
    model: options.model,
    challengeRandomness: options.challengeRandomness,
  }
  const chosen = opened === 'all' ? undefined : new Set(opened)
  const planned = chosen
    ? opened.length * profile.groupSize
    : [...survey.groups.values()].reduce((sum, { rows }) => sum + rows, 0)
  const problems = new Problems(survey, options, signal)
  const softCounts = new Map<string, number>()
  const softLimits = new Map([
    ['reward_valid', softFailureLimit(profile.reward.softFraction, planned)],
    ['token_distribution_valid', softFailureLimit(profile.distribution.softFraction, planned)],
  ])
  const nonces = new Set<string>()
  const completions = new Set<string>()
  const members = new Map<string, { reward: number; advantage: number }[]>()
  const inexact = { rows: 0, positions: 0, first: '' }
  let checked = 0
  let valid = 0
  const outcome = (reason: string | null): RowsOutcome => ({
    reason,
    checked,
    valid: reason === null ? valid : 0,
    unique: reason === null ? completions.size : 0,
    notes:
      inexact.rows === 0
        ? []
        : [
            `${inexact.positions} sketches of ${inexact.rows} rows are not exactly this engine's, first ${inexact.first}: on the same engine and device none may differ`,
          ],
  })

  const judge = async ({ row, inference }: Opened, facts: RowFacts): Promise<string | null> => {
    const place = { row, nonce: String(inference.nonce), group: String(inference.rolloutGroup) }
    const report = (fault: Fault) => findings.add({ ...fault, ...place })
    const [early] = beforePipeline(inference, facts, context)
    if (early) {
      report(early)
      return `row:${early.check}`
    }
    if (nonces.has(place.nonce)) {
      report({ check: 'duplicate_nonce', severity: 'hard', expected: 'every nonce once', actual: place.nonce })
      return 'row:duplicate_nonce'
    }
    nonces.add(place.nonce)
    const soft: Fault[] = []
    for (const check of PIPELINE) {
      for (const fault of check(inference, facts, context)) {
        report(fault)
        if (fault.severity === 'hard') return `hard:${fault.check}`
        soft.push(fault)
      }
    }
    if (options.engine && !facts.replay) {
      report({
        check: 'proof_valid',
        severity: 'hard',
        expected: 'a sequence the model can replay',
        actual: 'it refuses this one',
      })
      return 'hard:proof_valid'
    }
    for (const { check } of soft) {
      const count = (softCounts.get(check) ?? 0) + 1
      softCounts.set(check, count)
      if (count >= (softLimits.get(check) ?? Number.POSITIVE_INFINITY)) return `soft:${check}`
    }
    valid++
    const { tokens, rollout } = inference.commit
    const digest = completionDigest(tokens as ArrayLike<number>, rollout.promptLength)
    if (digest !== undefined) completions.add(digest)
    if (facts.replay) {
      const { count, first } = inexactSketches(inference.commit, facts.replay)
      if (count > 0 && inexact.rows++ === 0)
        inexact.first = `row ${row}, position ${first}: ${shown((inference.commit.commitments as Int32Array)[first])} instead of ${facts.replay.sketches[first]}`
      inexact.positions += count
    }
    return null
  }

  let row = 0
  for await (const batch of reader.batches()) {
    for (const group of consecutive(batch, row, chosen)) {
      signal.throwIfAborted()
      const facts = await problems.factsOf(group)
      for (const [i, one] of group.entries()) {
        checked++
        const { rollout } = one.inference.commit
        const reason = await judge(one, facts[i] as RowFacts)
        if (reason !== null) return outcome(reason)
        const id = String(one.inference.rolloutGroup)
        const claims = { reward: Number(rollout.totalReward), advantage: Number(rollout.advantage) }
        members.set(id, [...(members.get(id) ?? []), claims])
      }
    }
    row += batch.length
  }
  for (const [group, claims] of members) {
    const fault = groupFault(claims, profile)
    if (!fault) continue
    const sum = claims.reduce((total, { advantage }) => total + advantage, 0)
    findings.add({
      check: fault,
      severity: 'group',
      group,
      expected: `${profile.groupSize} rows whose advantages follow from their rewards and sum to 0`,
      actual: `${claims.length} rows, advantages ${shown(claims.map(({ advantage }) => advantage).join(', '))}, sum ${sum}`,
    })
    return outcome(`group:${fault}`)
  }
  return outcome(null)
}

/** The opened rows of a batch, those of one group that follow each other together. */
function consecutive(
  batch: Parameters<typeof inferenceOf>[0][],
  firstRow: number,
  chosen: Set<string> | undefined,
): Opened[][] {
  const groups: Opened[][] = []
  let current: string | undefined
  batch.forEach((read, i) => {
    const id = String(read.rollout_group ?? null)
    if (chosen && !chosen.has(id)) return
    const one = { row: firstRow + i, inference: inferenceOf(read) }
    if (id === current) groups.at(-1)?.push(one)
    else groups.push([one])
    current = id
  })
  return groups
}

/** Computes what rows are compared with: canonical prompts, rewards, replays. */
class Problems {
  readonly #survey: Survey
  readonly #options: JudgeOptions
  readonly #signal: AbortSignal
  /** fork-v1 numbers groups by their first appearance in the file (Agile-Ascent-Limited/Grail grail/validation/miner_validator.py:343, c66a3e4). */
  readonly #order: Map<string, number>

  constructor(survey: Survey, options: JudgeOptions, signal: AbortSignal) {
    this.#survey = survey
    this.#options = options
    this.#signal = signal
    this.#order = new Map([...survey.groups.keys()].map((group, index) => [group, index]))
  }

  /** @param rows of one group */
  async factsOf(rows: Opened[]): Promise<RowFacts[]> {
    const { engine, checkpoint, profile, environment, tokenizer } = this.#options
    const facts: RowFacts[] = rows.map(() => ({}))
    if (checkpoint && !profile.environmentIds.includes(checkpoint.environment)) {
      for (const fact of facts)
        fact.prompt = { refused: `environment "${checkpoint.environment}" is unknown to validators` }
      return facts
    }
    if (environment && tokenizer && checkpoint) {
      const { hotkey, windowHash } = this.#survey.expected
      const problem = environment.problem(deriveEnvSeed(hotkey, windowHash, this.#indexOf(rows[0]?.inference)))
      const prompt = tokenizer.encode(tokenizer.renderPrompt(problem.prompt, checkpoint.thinkingMode))
      const texts = rows.map(({ inference }) => tokenizer.decode(completionOf(inference)))
      let rewards: (number | { failed: string })[]
      try {
        const judged = await environment.reward(problem, texts, checkpoint.thinkingMode, this.#signal)
        rewards = judged.map(({ reward }) => reward)
      } catch (error) {
        if (!(error instanceof RewardError)) throw error
        rewards = rows.map(() => ({ failed: error.message }))
      }
      facts.forEach((fact, i) => {
        fact.prompt = prompt
        fact.reward = rewards[i]
      })
    }
    if (engine && checkpoint)
      for (const [i, { inference }] of rows.entries()) {
        const fact = facts[i] as RowFacts
        fact.replay = await replayOf(inference.commit, engine, checkpoint, profile, this.#signal)
      }
    return facts
  }

  #indexOf(inference: Inference | undefined): number | bigint | string {
    const group = inference?.rolloutGroup ?? null
    if (this.#options.profile.contiguousGroups) return this.#order.get(String(group)) ?? 0
    try {
      return pythonInt(group)
    } catch {
      return 0
    }
  }
}

function completionOf({ commit }: Inference): number[] {
  const { promptLength } = commit.rollout
  const from = typeof promptLength === 'number' && promptLength >= 0 ? promptLength : 0
  return Array.prototype.slice.call(commit.tokens, from).filter(Number.isInteger)
}

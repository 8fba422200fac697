import { sampleGroups } from '../protocol/rollout-sampling.js'
import { openWindowReader, type WindowReader } from '../window/parquet/reader.js'
import type { ByteSource } from '../window/parquet/source.js'
import { UnreadableFile } from '../window/parquet/unreadable.js'
import { Findings } from './findings.js'
import type { JudgeOptions } from './judge-options.js'
import { checkRows } from './rows.js'
import { type Survey, surveyFile } from './survey.js'
import { CannotJudge, type Counts, PENALTY, type Verdict, type VerdictKind } from './verdict.js'

/**
 * What a validator would say about a window file (protocol.md §7.2–7.4; one-covenant/grail grail/validation/miner_validator.py:257-1505,
 * 54d6342): the file, every row's structure, the rows it opens, their groups. Reads the file twice and holds a page per column;
 * nothing is judged that was not given the means for, and the verdict lists what was not.
 * @throws CannotJudge when the file is beyond what is read here, or the means contradict each other; errors of source and engine as they are
 */
export async function judgeFile(source: ByteSource, options: JudgeOptions): Promise<Verdict> {
  const { profile, engine, checkpoint, model } = options
  const signal = options.signal ?? new AbortController().signal
  if (engine && !checkpoint)
    throw new CannotJudge('an engine can only replay rows of a known checkpoint: give that too')
  if (checkpoint && model && model.checkpointWindow !== checkpoint.window)
    throw new CannotJudge(`the model is of checkpoint ${model.checkpointWindow}, not ${checkpoint.window}`)
  const counts: Counts = {
    bytes: source.bytes,
    rows: 0,
    groups: 0,
    checked: 0,
    valid: 0,
    unique: 0,
    estimatedUnique: 0,
  }
  const findings = new Findings()
  const notes: string[] = []
  const verdict = (kind: VerdictKind, reason: string | null): Verdict => ({
    verdict: kind,
    reason,
    penalty: PENALTY[kind],
    counts,
    findings: findings.kept,
    findingsTotal: findings.total,
    notes,
    unjudged: unjudged(options),
  })
  const [least, most] = profile.fileBytes
  if (source.bytes < least || source.bytes > most) {
    const check = source.bytes < least ? 'file_too_small' : 'file_too_large'
    findings.add({ check, severity: 'file', expected: `${least} to ${most} bytes`, actual: `${source.bytes} bytes` })
    return verdict('ignored', `file:${check}`)
  }

  let reader: WindowReader
  let survey: Survey
  try {
    reader = await openWindowReader(source)
    survey = await surveyFile(reader, {
      profile,
      hotkey: options.hotkey,
      window: options.window,
      windowHash: options.windowHash,
      digests: options.challengeRandomness !== undefined && reader.rows > profile.rowSample.all,
      signal,
    })
  } catch (error) {
    if (!(error instanceof UnreadableFile)) throw error
    if (error.kind === 'beyond_limits') throw new CannotJudge(error.message, { cause: error })
    findings.add({ check: error.kind, severity: 'file', expected: 'a readable window file', actual: error.message })
    if (error.kind === 'reader_exception')
      notes.push('where data is damaged, the validator may also read something else and flag the file for that')
    return verdict(error.kind === 'corrupt_parquet' ? 'failure' : 'ignored', `file:${error.kind}`)
  }
  counts.rows = reader.rows
  counts.groups = survey.groups.size
  notes.push(...survey.notes)
  if (survey.fault) {
    findings.add(survey.fault)
    return verdict('failure', `file:${survey.fault.check}`)
  }
  const opened =
    options.challengeRandomness === undefined
      ? 'all'
      : sampleGroups(survey.digests, reader.rows, survey.expected.hotkey, options.challengeRandomness, profile)
  if (opened !== 'all')
    notes.push(`a validator opens ${opened.length} of ${survey.groups.size} groups: ${opened.join(', ')}`)
  const outcome = await checkRows(reader, survey, opened, options, findings, signal)
  notes.push(...outcome.notes)
  counts.checked = outcome.checked
  if (outcome.reason !== null) return verdict('failure', outcome.reason)
  counts.valid = outcome.valid
  counts.unique = outcome.unique
  counts.estimatedUnique = outcome.checked === 0 ? 0 : Math.trunc(reader.rows * (outcome.unique / outcome.checked))
  return verdict('accepted', null)
}

function unjudged(options: JudgeOptions): string[] {
  const { hotkey, window, windowHash, checkpoint, model, tokenizer, environment, engine } = options
  const list: string[] = []
  const without = (given: unknown, what: string, missing: string) => {
    if (given === undefined) list.push(`${what}: no ${missing} given`)
  }
  without(hotkey, "whose file it is (the footer's wallet was believed)", 'hotkey')
  without(window, "which window it is of (the footer's was believed)", 'window')
  without(windowHash, "the window's hash (the first row's was believed)", 'hash')
  without(checkpoint, 'checkpoint_window and the longest completion', 'checkpoint')
  without(model, 'token ids against the vocabulary, the sequence length, EOS as last token', 'model facts')
  without(
    environment && tokenizer && checkpoint,
    'env_prompt_valid, env_eval_valid, reward_valid',
    'environment with tokenizer',
  )
  without(engine, 'sketches, logprobs, P(EOS) and token distribution', 'engine')
  return list
}

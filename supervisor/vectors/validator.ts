import { advantages } from '../../src/protocol/advantages.js'
import { commitSchemaFaults } from '../../src/protocol/commit-schema.js'
import { emptyLedger, judgeWindow, type Submission } from '../../src/protocol/copycat.js'
import { groupFault } from '../../src/protocol/group-check.js'
import { minerSampleSize, selectMiners } from '../../src/protocol/miner-selection.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import type { PythonJson } from '../../src/protocol/python-json.js'
import { pythonFloat } from '../../src/protocol/python-number.js'
import { groupDigest, sampleGroups } from '../../src/protocol/rollout-sampling.js'
import { type ScoredMiner, scoreWeights } from '../../src/protocol/score-weights.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { type Checks, same } from './check.js'
import { structureFileOf, structureVerdict } from './structure-cases.js'

// biome-ignore lint/suspicious/noExplicitAny: a case of a vector file
type Case = any

/** What a validator does with files, groups and miners. */
export const validatorChecks: Checks = {
  'schema_cases.json': (file, index) => {
    const c = file.cases[index]
    const commit = c.commit ?? longCommit(file.cases[0].commit, c)
    // the file names places two levels deep
    const shortened = commitSchemaFaults(commit, GRAIL_V5).map(fault => fault.replace(/^(\w+\.\w+)\.[^:]*/, '$1'))
    const faults = [...new Set(shortened)].sort()
    return same(faults.length === 0, c.accepted) ?? same(faults, c.errors ?? [])
  },

  'validator_file_structure.json': (file, index) => {
    const c = file.cases[index]
    const rebuilt = structureFileOf(c.name)
    if (!rebuilt) return 'no check can rebuild a file of this name'
    const reason = structureVerdict(rebuilt)
    return same([reason === null, reason], [c.valid, c.reason])
  },

  'validator_grpo_group.json': (file, index) => {
    const c = file.cases[index]
    // a case without numbers is about the environment seed, which its name tells
    const rewards: number[] =
      c.rewards?.map(pythonFloat) ?? Array.from({ length: GRAIL_V5.groupSize }, (_, i) => (i < 4 ? 1 : 0))
    const claimed: number[] = c.advantages?.map(pythonFloat) ?? advantages(rewards)
    const seedOf = (i: number) => (c.rewards || !/seed/.test(c.name) ? undefined : /differ/.test(c.name) ? i : 7)
    const members = rewards.map((reward, i) => ({ reward, advantage: claimed[i]!, envSeed: seedOf(i) }))
    return same(groupFault(members, GRAIL_V5) === undefined, c.valid)
  },

  'validator_miner_selection.json': (file, index) => {
    const c = file.cases[index]
    if (c.fn === '_compute_sample_size') return same(minerSampleSize(c.active), c.k)
    return same(selectMiners(c.active_hotkeys, c.window_hash, c.selection_counts), c.selected)
  },

  'validator_rollout_sampling.json': (file, index) => {
    const c = file.cases[index]
    const rowsOf = (group: number): PythonJson[] =>
      Array.from(
        { length: c.rows / c.groups },
        (_, row) =>
          new Map<string, PythonJson>([
            ['tokens', [BigInt(group), BigInt(row)]],
            ['x', `${group}-${row}`],
          ]),
      )
    const groups = new Map<string, string>()
    for (let group = 0; group < c.groups; group++) groups.set(String(group), groupDigest(rowsOf(group)))
    const chosen = sampleGroups(groups, c.rows, c.hotkey, c.window_rand, GRAIL_V5)
    const opened = (chosen === 'all' ? [...groups.keys()] : chosen).map(Number).sort((a, b) => a - b)
    return same(opened, c.checked_groups) ?? same(opened.length * (c.rows / c.groups), c.checked_rows)
  },

  'copycat.json': (file, index) => {
    const c = file.cases[index]
    const submissions = new Map<string, Submission>(
      Object.entries<Case>(c.submissions).map(([miner, { digests, total, upload_time }]) => [
        miner,
        { digests: new Map(Object.entries<number>(digests)), total, uploadTime: upload_time ?? null },
      ]),
    )
    const verdict = judgeWindow(emptyLedger(), submissions, GRAIL_V5)
    const ascending = (ratios: number[]) => [...ratios].sort((a, b) => a - b)
    return (
      same([...verdict.windowCheaters].sort(), [...c.window_cheaters].sort()) ??
      same([...verdict.intervalCheaters].sort(), [...c.interval_cheaters].sort()) ??
      same(ascending(verdict.pairs.map(({ ratio }) => ratio)), ascending(c.ratios))
    )
  },

  'weights.json': (file, index) => {
    const c = file.cases[index]
    const miners: ScoredMiner[] = c.hotkeys.map((hotkey: string, i: number) => ({
      uid: c.uids[i],
      checked: new Map(
        Object.entries<Case>(c.metrics[hotkey] ?? {}).map(([window, { estimated_unique, had_failure }]) => [
          Number(window),
          { estimatedUnique: estimated_unique ?? 0, hadFailure: Number(had_failure) === 1 },
        ]),
      ),
      windowsActive: c.availability[hotkey] ?? 0,
    }))
    return same(scoreWeights(miners, c.target_window, WINDOW_BLOCKS, GRAIL_V5), c.weights)
  },
}

/** Long commits are told by their size: the first case's commit at that many tokens, with the completion its name says. */
function longCommit(baseline: Case, c: Case): Case {
  const length: number = c.tokens_len
  const completion = Number(/\d+/.exec(c.name)?.[0])
  return {
    ...baseline,
    tokens: Array.from({ length }, (_, i) => i),
    commitments: Array.from({ length }, () => ({ sketch: 0 })),
    rollout: {
      ...baseline.rollout,
      token_logprobs: new Array(length).fill(0),
      prompt_length: length - completion,
      completion_length: completion,
    },
  }
}

import t from 'tap'
import { EngineError } from '../../src/engine/engine.js'
import { RewardError } from '../../src/environment/environment.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { groupDigest, sampleGroups } from '../../src/protocol/rollout-sampling.js'
import { CannotJudge, judgeFile, PENALTY, type Verdict } from '../../src/validation/index.js'
import { surveyFile } from '../../src/validation/survey.js'
import { openWindowReader } from '../../src/window/parquet/reader.js'
import { bytesSource } from '../../src/window/parquet/source.js'
import { windowFileBytes } from '../../src/window/parquet/writer.js'
import {
  groupRows,
  type PlainRow,
  prove,
  signCommit,
  signRow,
  WINDOW,
  WINDOW_HASH,
  workshop,
} from '../../supervisor/vectors/mutation-baseline.js'
import { judgeOptions, judgeRows } from '../helpers/judged.js'

const shop = await workshop()
const groups = [await groupRows(shop, 0), await groupRows(shop, 1), await groupRows(shop, 2)]
const threeGroups = (): PlainRow[] => structuredClone(groups.flat())
const summary = ({ verdict, reason, findingsTotal }: Verdict) => ({ verdict, reason, findingsTotal })

t.test('a window of the rehearsal engine has nothing to find, and everything was judged', async t => {
  const verdict = await judgeRows(shop, threeGroups())
  t.match(verdict, {
    verdict: 'accepted',
    reason: null,
    penalty: 'none',
    counts: { rows: 48, groups: 3, checked: 48, valid: 48, unique: 48, estimatedUnique: 48 },
    findings: [],
    findingsTotal: 0,
    notes: ['the file is marked as a rehearsal: no bucket that validators read may hold it'],
    unjudged: [],
  })
})

// One byte, row, nonce, hash, signature, advantage, checkpoint or token changed in a file that is otherwise valid.
const CHANGES: [
  what: string,
  change: (rows: PlainRow[]) => unknown,
  reason: string,
  finding: Record<string, unknown>,
][] = [
  ['a row is missing', rows => rows.splice(20, 1), 'file:invalid_group_size', { group: '1', actual: '15 rows' }],
  [
    'a row is there twice',
    rows => rows.splice(20, 0, structuredClone(rows[20] as PlainRow)),
    'file:duplicate_nonce',
    { row: 21, group: '1', nonce: '20' },
  ],
  ['a nonce', rows => put(rows, 33, { nonce: 5 }), 'file:duplicate_nonce', { row: 33, nonce: '5', group: '2' }],
  [
    'a letter of a hash',
    rows => put(rows, 17, { block_hash: WINDOW_HASH.replace(/.$/, last => (last === '0' ? '1' : '0')) }),
    'file:block_hash_mismatch',
    { row: 17, expected: WINDOW_HASH },
  ],
  [
    'a window',
    rows => put(rows, 2, { window_start: WINDOW - 30 }),
    'file:window_start_mismatch',
    { row: 2, expected: String(WINDOW), actual: String(WINDOW - 30) },
  ],
  [
    'a checkpoint',
    rows => put(rows, 31, { checkpoint_window: WINDOW - 30 }),
    'row:checkpoint_window',
    { row: 31, expected: String(WINDOW - 60), actual: String(WINDOW - 30) },
  ],
  [
    'a digit of a row signature',
    rows => put(rows, 9, { signature: flipped((rows[9] as PlainRow).signature) }),
    'row:row_signature',
    { row: 9, check: 'row_signature' },
  ],
  [
    'a digit of a commit signature',
    rows => {
      const { commit } = rows[9] as PlainRow
      commit.signature = flipped(commit.signature)
    },
    'hard:proof_valid',
    { row: 9, expected: `a commit signature of ${shop.hotkey.ss58}` },
  ],
  [
    'a prompt token',
    rows => addTo((rows[40] as PlainRow).commit.tokens, 12, 1),
    'hard:env_prompt_valid',
    { row: 40, position: 12 },
  ],
  [
    'a completion token',
    rows => addTo((rows[40] as PlainRow).commit.tokens, -4, 1),
    'hard:proof_valid',
    { row: 40, check: 'proof_valid' },
  ],
  [
    'a completion token, signed again',
    rows => {
      const row = rows[40] as PlainRow
      addTo(row.commit.tokens, -20, 1)
      row.commit.rollout.token_logprobs = row.commit.rollout.token_logprobs.map(value => value - 0.3)
      signCommit(row, shop.hotkey)
    },
    'hard:logprobs_valid',
    { row: 40, check: 'logprobs_valid' },
  ],
  [
    'a sketch, signed again',
    rows => {
      const row = rows[40] as PlainRow
      row.commit.commitments = row.commit.commitments.replace(/(\d+)\}\]$/, '1000000000}]')
      signCommit(row, shop.hotkey)
    },
    'hard:proof_valid',
    { row: 40, actual: '1000000000' },
  ],
  [
    'a sketch out of range, signed again',
    rows => {
      const row = rows[40] as PlainRow
      row.commit.commitments = row.commit.commitments.replace(/(\d+)\}\]$/, '2147483647}]')
      signCommit(row, shop.hotkey)
    },
    'hard:proof_valid',
    { row: 40, expected: 'a sketch in [0, 2^31 − 1)', actual: '2147483647' },
  ],
  [
    'an advantage',
    rows => {
      ;(rows[18] as PlainRow).commit.rollout.advantage += 0.02
    },
    'group:advantage_sum',
    { group: '1', severity: 'group' },
  ],
]

t.test('one thing changed in a valid window gets the right finding', async t => {
  for (const [what, change, reason, finding] of CHANGES) {
    const rows = threeGroups()
    change(rows)
    const verdict = await judgeRows(shop, rows)
    t.match(summary(verdict), { verdict: 'failure', reason, findingsTotal: 1 }, what)
    t.match(verdict.findings[0], finding, `${what}: where`)
    t.equal(verdict.penalty, PENALTY.failure)
  }
})

t.test('a byte changed anywhere in a file is found', async t => {
  const bytes = await windowFileBytes(
    { wallet: shop.hotkey.ss58, windowStart: WINDOW, windowLength: 30, timestamp: 1, rehearsal: true },
    GRAIL_V5,
    groups[0] as PlainRow[],
  )
  let found = 0
  let tried = 0
  for (let at = 100; at < bytes.length * 0.7; at += 997) {
    const damaged = bytes.slice()
    damaged[at] = (damaged[at] as number) ^ 0x55
    const { verdict } = await judgeFile(bytesSource(damaged), judgeOptions(shop))
    tried++
    if (verdict !== 'accepted') found++
  }
  // Columns nobody validates (block, timestamp, statistics of a page) may change unseen.
  t.ok(found >= tried - 4, `${found} of ${tried}`)
})

t.test('what is not given is not judged, and said', async t => {
  const rows = threeGroups()
  addTo((rows[0] as PlainRow).commit.tokens, 3, 1)
  signCommit(rows[0] as PlainRow, shop.hotkey)
  const bare = {
    hotkey: undefined,
    window: undefined,
    windowHash: undefined,
    checkpoint: undefined,
    model: undefined,
    tokenizer: undefined,
    environment: undefined,
    engine: undefined,
  }
  const verdict = await judgeRows(shop, rows, bare)
  t.equal(verdict.verdict, 'accepted', 'a wrong prompt shows only to who knows the problem')
  t.equal(verdict.unjudged.length, 7)
  t.match(verdict.unjudged.join('\n'), /footer's wallet was believed[\s\S]*env_prompt_valid[\s\S]*sketches, logprobs/)
})

t.test('with the validator’s randomness only the groups it opens are judged', async t => {
  const rows = threeGroups()
  for (const row of rows.slice(16, 32)) signCommit(row, shop.other)
  const verdicts = new Set<string>()
  for (let i = 0; i < 8; i++) {
    const verdict = await judgeRows(shop, rows, { challengeRandomness: `${i}`.repeat(64) })
    verdicts.add(verdict.verdict)
    t.match(verdict.notes.join(), /opens 1 of 3 groups/)
    if (verdict.verdict === 'accepted') t.match(verdict.counts, { checked: 16, rows: 48, estimatedUnique: 48 })
  }
  t.strictSame([...verdicts].sort(), ['accepted', 'failure'], 'the outcome depends on the choice')
})

t.test('groups are chosen by the digests the reference takes', async t => {
  const bytes = await windowFileBytes(
    { wallet: 'w', windowStart: WINDOW, windowLength: 30, timestamp: 1, rehearsal: false },
    GRAIL_V5,
    threeGroups(),
  )
  const reader = await openWindowReader(bytesSource(bytes))
  const { signal } = new AbortController()
  const { digests } = await surveyFile(reader, { profile: GRAIL_V5, digests: true, signal })
  const expected = new Map(
    groups.map((rows, group) => [
      String(group),
      groupDigest(
        rows.map(({ commit: { commitments, beacon, rollout, ...commit } }) =>
          pythonOf({
            ...commit,
            commitments: JSON.parse(commitments),
            beacon: JSON.parse(beacon),
            rollout: {
              ...rollout,
              total_reward: new Float(rollout.total_reward),
              advantage: new Float(rollout.advantage),
              token_logprobs: rollout.token_logprobs.map(value => new Float(Math.fround(value))),
            },
          }),
        ),
      ),
    ]),
  )
  t.strictSame(digests, expected)
  t.equal(sampleGroups(digests, 48, 'w', 'ab', GRAIL_V5).length, 1)
})

t.test('soft faults cost the file from their limit on, and are told below it', async t => {
  const raised = (count: number) => {
    const rows = threeGroups().slice(0, 16)
    rows.slice(0, count).forEach(({ commit }) => {
      commit.rollout.total_reward += 0.5
    })
    const rewards = rows.map(({ commit }) => commit.rollout.total_reward)
    const mean = rewards.reduce((sum, reward) => sum + reward, 0) / 16
    const deviation = Math.sqrt(rewards.reduce((sum, reward) => sum + (reward - mean) ** 2, 0) / 16)
    for (const { commit } of rows) commit.rollout.advantage = (commit.rollout.total_reward - mean) / deviation
    return rows
  }
  t.match(await judgeRows(shop, raised(3)), { verdict: 'accepted', findingsTotal: 3, counts: { valid: 16 } })
  t.match(await judgeRows(shop, raised(4)), { verdict: 'failure', reason: 'soft:reward_valid', counts: { valid: 0 } })
})

t.test('sketches within the validator’s tolerance but not this engine’s are noted', async t => {
  const rows = threeGroups().slice(0, 16)
  const row = rows[5] as PlainRow
  row.commit.commitments = row.commit.commitments.replace(/(\d+)\}\]$/, (_, digits) => `${Number(digits) + 1}}]`)
  signCommit(row, shop.hotkey)
  const verdict = await judgeRows(shop, rows)
  t.equal(verdict.verdict, 'accepted')
  t.match(verdict.notes.join('\n'), /1 sketches of 1 rows are not exactly this engine's, first row 5, position \d+/)
})

t.test('a judge that fails is a fault of the file for the validator, a failing engine is ours', async t => {
  const rows = () => threeGroups().slice(0, 16)
  const environment = {
    ...shop.environment,
    problem: shop.environment.problem.bind(shop.environment),
    reward: async () => {
      throw new RewardError('the judge died')
    },
  }
  t.match(await judgeRows(shop, rows(), { environment }), {
    verdict: 'failure',
    reason: 'hard:env_eval_valid',
    findings: [{ actual: 'the judge died' }],
  })
  const broken = new EngineError('out of memory', 'later')
  const engine = { ...shop.engine, verify: () => Promise.reject(broken) }
  await t.rejects(judgeRows(shop, rows(), { engine }), broken)
  const picky = { ...shop.engine, verify: () => Promise.reject(new EngineError('will not do', 'never')) }
  t.match(await judgeRows(shop, rows(), { engine: picky }), {
    reason: 'hard:proof_valid',
    findings: [{ expected: 'a sequence the model can replay' }],
  })
})

t.test('means that contradict each other are no verdict', async t => {
  const rows = groups[0] as PlainRow[]
  await t.rejects(judgeRows(shop, rows, { checkpoint: undefined }), CannotJudge)
  const other = { ...shop.metadata, window: WINDOW - 90 }
  await t.rejects(judgeRows(shop, rows, { checkpoint: other }), {
    name: 'CannotJudge',
    message: /model is of checkpoint/,
  })
})

t.test('sizes outside the accepted range are ignored, not flagged', async t => {
  for (const [size, reason] of [
    [199, 'file:file_too_small'],
    [350 * 1024 * 1024 + 1, 'file:file_too_large'],
  ] as const) {
    const source = { bytes: size, read: () => Promise.reject(new Error('never read')) }
    t.match(await judgeFile(source, judgeOptions(shop)), { verdict: 'ignored', reason, penalty: PENALTY.ignored })
  }
})

t.test('diagnosis tells where duplicates, holes, disorder and mixtures come from', async t => {
  const notesOf = async (rows: PlainRow[]) => (await judgeRows(shop, rows)).notes.join('\n')
  const stale = threeGroups()
  stale.push(...structuredClone(stale.slice(0, 16)))
  t.match(await notesOf(stale), /nonce 0 is in row 0 .* and in row 48 .*: the same rollout twice, so stale rows/)
  const wide = threeGroups()
  put(wide, 3, { rollout_index: 17, nonce: 17 })
  t.match(await notesOf(wide), /nonce 17 is in row 3 \(group 0, rollout 17\).*formula .* collides/)
  const strided = threeGroups()
  put(strided, 16, { nonce: 3 })
  t.match(await notesOf(strided), /does not follow the formula/)
  const holes = [...structuredClone(groups[2] as PlainRow[]), ...structuredClone(groups[0] as PlainRow[])]
  t.match(await notesOf(holes), /1 problem indices below 2 are missing, first 1 \(allowed\)/)
  t.match(await notesOf(holes), /1 groups stand behind a higher one/)
  const mixed = threeGroups()
  mixed.slice(32).forEach(row => {
    row.checkpoint_window -= 30
  })
  t.match(await notesOf(mixed), /rows of 2 different checkpoints: 7654260 \(32 rows\), 7654230 \(16 rows\)/)
  const between = threeGroups()
  between.splice(0, 0, ...between.splice(40, 1))
  t.match(await notesOf(between), /the rows of 1 groups are not together/)
  const renumbered = threeGroups()
  for (const row of renumbered) {
    row.nonce += 1_000
    signRow(row, shop.hotkey)
  }
  t.match(await notesOf(renumbered), /48 of 48 nonces are not group · 16 \+ rollout index/)
})

t.test('another length, proved and signed, is still judged by how it ends', async t => {
  const rows = threeGroups().slice(0, 16)
  const row = rows[2] as PlainRow
  row.commit.tokens.pop()
  await prove(shop, row)
  t.match(await judgeRows(shop, rows), {
    reason: 'hard:termination_valid',
    findings: [{ row: 2, expected: `EOS ${shop.model.eosTokenId} after 39 of 40 tokens` }],
  })
})

function put(rows: PlainRow[], index: number, change: Partial<PlainRow>): void {
  Object.assign(rows[index] as PlainRow, change)
}

function addTo(values: number[], index: number, step: number): void {
  const at = index < 0 ? values.length + index : index
  values[at] = (values[at] as number) + step
}

function flipped(hex: string): string {
  return hex.replace(/.$/, last => (last === '0' ? '1' : '0'))
}

/** A float in Python's eyes, though it may be whole. */
class Float {
  readonly value: number
  constructor(value: number) {
    this.value = value
  }
}

/** Integers as bigint, floats as number, dictionaries as Map. */
function pythonOf(value: unknown): never {
  if (value instanceof Float) return value.value as never
  if (typeof value === 'number') return BigInt(value) as never
  if (Array.isArray(value)) return value.map(pythonOf) as never
  if (typeof value === 'object' && value !== null)
    return new Map(Object.entries(value).map(([key, item]) => [key, pythonOf(item)])) as never
  return value as never
}

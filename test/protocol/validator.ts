import t from 'tap'
import { advantages } from '../../src/protocol/advantages.js'
import { emptyLedger, judgeWindow, type Submission } from '../../src/protocol/copycat.js'
import { distributionFaults, distributionOf, softFailureLimit } from '../../src/protocol/distribution.js'
import { fileStructureFault, type StructureRow } from '../../src/protocol/file-structure.js'
import { groupFault } from '../../src/protocol/group-check.js'
import { logprobVerdict } from '../../src/protocol/logprob-check.js'
import { minerSampleSize, selectMiners } from '../../src/protocol/miner-selection.js'
import { FORK_V1, GRAIL_V5 } from '../../src/protocol/profile.js'
import { rewardClose } from '../../src/protocol/reward-check.js'
import { groupSampleSize, sampleGroups } from '../../src/protocol/rollout-sampling.js'
import { scoreWeights } from '../../src/protocol/score-weights.js'
import { terminationFault } from '../../src/protocol/termination.js'

t.test('advantages have mean 0 and population deviation 1, and equal rewards give none', t => {
  const values = advantages([1, 0, 0, 0])
  t.same(values, [1.7320508075688774, -0.5773502691896258, -0.5773502691896258, -0.5773502691896258])
  t.same(advantages(new Array(16).fill(0.1)), new Array(16).fill(0))
  t.same(advantages([]), [])
  t.same(advantages([3]), [0])
  t.end()
})

t.test('a completion ends at the limit, or on an EOS the model found probable', t => {
  const end = { completionLength: 40, maxTokens: 64, lastToken: 7, eosTokenId: 7, eosProbability: 0.5 }
  const cases: [title: string, change: object, fault: string | undefined][] = [
    ['EOS', {}, undefined],
    ['EOS of the smallest probability', { eosProbability: 0.02 }, undefined],
    ['improbable EOS', { eosProbability: 0.0199 }, 'eos_improbable'],
    ['EOS of unknown probability', { eosProbability: undefined }, undefined],
    ['EOS of no probability', { eosProbability: Number.NaN }, 'eos_improbable'],
    ['another stop token', { lastToken: 8 }, 'no_eos'],
    ['the limit', { completionLength: 64, lastToken: 8 }, undefined],
    ['beyond the limit', { completionLength: 65 }, 'too_long'],
    ['the cap below the checkpoint’s limit', { completionLength: 8192, maxTokens: 10_000, lastToken: 8 }, undefined],
    ['beyond the cap', { completionLength: 8193, maxTokens: 10_000 }, 'too_long'],
  ]
  for (const [title, change, fault] of cases) t.equal(terminationFault(GRAIL_V5, { ...end, ...change }), fault, title)
  t.end()
})

t.test('distribution numbers are numpy’s, and each has its limit', t => {
  t.same(distributionOf([0.5, 0.1, 0.9, 0.3], GRAIL_V5), {
    median: 0.4,
    q10: 0.16,
    q10First50: 0.16,
    min: 0.1,
  })
  const lateLow = [...new Array(50).fill(0.9), ...new Array(50).fill(0.01)]
  t.match(distributionOf(lateLow, GRAIL_V5), { q10: 0.01, q10First50: 0.9 })
  const good = { median: 0.31, q10: 0.026, q10First50: 0.026, min: 1.1e-5 }
  const cases: [object, number, string[]][] = [
    [{}, 40, []],
    [{}, 29, ['insufficient']],
    [{}, 30, []],
    [{ median: 0.3 }, 40, ['median_low']],
    [{ min: 1e-5 }, 40, ['min_low']],
    [{ q10: 0.025 }, 40, ['q10_low']],
    [{ q10First50: 0.025 }, 40, ['q10_initial_low']],
    [{ median: Number.NaN, min: Number.NaN }, 40, ['median_low', 'min_low']],
  ]
  for (const [change, steps, faults] of cases)
    t.same(distributionFaults({ ...good, ...change }, steps, GRAIL_V5), faults, JSON.stringify(change))
  t.equal(softFailureLimit(0.51, 16), 9)
  t.equal(softFailureLimit(0.2, 16), 4)
  t.equal(softFailureLimit(0.2, 1), 1)
  t.equal(softFailureLimit(0.51, 0), 1)
  t.end()
})

t.test('logprobs', t => {
  const model = [-1, -2, -3, -4]
  const off = (difference: number) => model.map(value => value + difference)
  t.ok(logprobVerdict(GRAIL_V5, model, off(0.09)).valid, 'e^0.09 − 1 is below 0.10')
  t.notOk(logprobVerdict(GRAIL_V5, model, off(-0.1)).valid, 'e^0.10 − 1 is not')
  t.ok(logprobVerdict(GRAIL_V5, model, [-1, -2, -3, Number.NEGATIVE_INFINITY]).valid, 'only the median counts')
  t.notOk(logprobVerdict(GRAIL_V5, model, [-1, -2, -3, Number.NaN]).valid)
  t.ok(logprobVerdict(FORK_V1, model, [-1.0009, -2.03, -3, -9]).valid, 'one miss is always forgiven')
  t.notOk(logprobVerdict(FORK_V1, model, [-1.1, -2, -3, -9]).valid, 'two of four are not')
  t.end()
})

t.test('rewards are compared as math.isclose does', t => {
  t.ok(rewardClose(GRAIL_V5, 1, 0.981))
  t.notOk(rewardClose(GRAIL_V5, 1, 0.9799))
  t.ok(rewardClose(GRAIL_V5, 0, 1e-6))
  t.notOk(rewardClose(GRAIL_V5, 0, 2e-6))
  t.ok(rewardClose(GRAIL_V5, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY))
  t.notOk(rewardClose(GRAIL_V5, Number.POSITIVE_INFINITY, 1))
  t.notOk(rewardClose(GRAIL_V5, Number.NaN, Number.NaN))
  t.end()
})

t.test('a group', t => {
  const rewards = Array.from({ length: 16 }, (_, i) => (i < 5 ? 0.9 : 0.2))
  const good = advantages(rewards).map((advantage, i) => ({ reward: rewards[i]!, advantage }))
  const changed = (change: (member: { reward: number; advantage: number; envSeed?: number }, i: number) => void) =>
    good.map((member, i) => {
      const copy = { ...member }
      change(copy, i)
      return copy
    })
  const cases: [title: string, members: typeof good, fault: string | undefined][] = [
    ['as computed', good, undefined],
    ['fifteen', good.slice(1), 'group_size'],
    ['one advantage off by 0.0009', changed((m, i) => (m.advantage += i === 0 ? 9e-4 : 0)), undefined],
    ['one advantage off by 0.0011', changed((m, i) => (m.advantage += i === 0 ? 1.1e-3 : 0)), 'advantage'],
    ['all off by 0.0007', changed(m => (m.advantage += 7e-4)), 'advantage_sum'],
    ['one seed for all', changed(m => (m.envSeed = 5)), undefined],
    ['two seeds', changed((m, i) => (m.envSeed = i % 2)), 'env_seed'],
    ['a seed for some', changed((m, i) => Object.assign(m, i > 0 ? { envSeed: 5 } : {})), 'env_seed'],
    [
      'an advantage that is no number, as the reference lets it pass',
      changed(m => (m.advantage = Number.NaN)),
      undefined,
    ],
  ]
  for (const [title, members, fault] of cases) t.equal(groupFault(members, GRAIL_V5), fault, title)
  t.end()
})

t.test('the structure of a file', t => {
  const expected = { hotkey: '5Grw', window: 900, windowHash: '0xab' }
  const rows = (): StructureRow[] =>
    Array.from({ length: 32 }, (_, i) => ({
      rolloutGroup: BigInt(i >> 4),
      windowStart: 900n,
      blockHash: '0xab',
      nonce: BigInt(i),
    }))
  const judge = (over: object = {}, change: (rows: StructureRow[]) => void = () => {}, profile = GRAIL_V5) => {
    const changed = rows()
    change(changed)
    return fileStructureFault({ wallet: '5Grw', windowStart: 900, rows: changed, ...over }, expected, profile)
  }
  t.equal(judge(), undefined)
  t.equal(judge({ rows: [] }), undefined, 'an empty file')
  t.equal(judge({ wallet: null }), 'wallet_mismatch')
  t.equal(judge({ wallet: '5FHn' }), 'wallet_mismatch')
  t.equal(judge({ windowStart: 930 }), 'window_mismatch')
  t.equal(
    judge({}, r => (r[4]!.rolloutGroup = null)),
    'null_rollout_group',
  )
  t.equal(
    judge({}, r => (r[4]!.windowStart = 930)),
    'window_start_mismatch',
  )
  t.equal(
    judge({}, r => (r[4]!.windowStart = null)),
    'window_start_mismatch',
  )
  t.equal(
    judge({}, r => (r[4]!.blockHash = '0xAB')),
    'block_hash_mismatch',
    'letter case counts',
  )
  t.equal(
    judge({}, r => (r[4]!.nonce = 20)),
    'duplicate_nonce',
    'across groups too',
  )
  t.equal(
    judge({}, r => (r[4]!.nonce = null)),
    undefined,
    'one null is a nonce like any other',
  )
  t.equal(
    judge({}, r => {
      for (const row of r) row.nonce = null
    }),
    'duplicate_nonce',
  )
  t.equal(
    judge({}, r => r.pop()),
    'invalid_group_size',
  )
  t.equal(
    judge({}, r => (r[4]!.rolloutGroup = 1)),
    'invalid_group_size',
  )
  t.equal(
    judge({}, r => (r[4]!.rolloutGroup = '0')),
    undefined,
    'groups are told apart by their text',
  )
  t.equal(
    judge({}, r => r.pop(), FORK_V1),
    undefined,
    'fork-v1 judges rows only when it opens them',
  )
  t.equal(judge({ wallet: '5FHn' }, undefined, FORK_V1), 'wallet_mismatch')
  t.end()
})

t.test('how many rows and miners are looked at', t => {
  t.same([1, 2, 8, 9, 41, 139, 140, 141].map(minerSampleSize), [1, 2, 2, 3, 11, 35, 35, 35])
  t.equal(minerSampleSize(0), 0)
  t.same(
    [0, 1, 9, 19, 20, 39, 40, 400].map(groups => groupSampleSize(groups, GRAIL_V5)),
    [1, 1, 1, 1, 2, 3, 4, 4],
  )
  t.equal(groupSampleSize(400, FORK_V1), 2)
  const groups = new Map(Array.from({ length: 30 }, (_, i) => [String(i), String((i * 7) % 30).padStart(2, '0')]))
  t.equal(sampleGroups(groups, 20, 'hk', 'ab', GRAIL_V5), 'all')
  const chosen = sampleGroups(groups, 480, 'hk', 'ab', GRAIL_V5)
  t.equal(new Set(chosen).size, 3)
  t.same(
    sampleGroups(new Map([...groups].reverse()), 480, 'hk', 'ab', GRAIL_V5),
    chosen,
    'the order in the file does not count',
  )
  t.notSame(sampleGroups(groups, 480, 'hk2', 'ab', GRAIL_V5), chosen)
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l']
  const first = selectMiners(names, '0xab', {})
  const second = selectMiners(names, '0xab', Object.fromEntries(first.map(name => [name, 1])))
  t.equal(first.length, 3)
  t.same(
    second.filter(name => first.includes(name)),
    [],
    'those chosen lately come last',
  )
  t.end()
})

t.test('copying', t => {
  const of = (from: number, to: number, uploadTime: number | null): Submission => ({
    digests: new Map(Array.from({ length: to - from }, (_, i) => [`d${from + i}`, 1])),
    total: to - from,
    uploadTime,
  })
  const judge = (a: Submission, b: Submission, profile = GRAIL_V5) => {
    const { windowCheaters, intervalCheaters, pairs } = judgeWindow(
      emptyLedger(),
      new Map([
        ['a', a],
        ['b', b],
      ]),
      profile,
    )
    return { window: [...windowCheaters].sort(), interval: [...intervalCheaters].sort(), ratio: pairs[0]?.ratio }
  }
  t.same(judge(of(0, 100, 10), of(95, 195, 11)), { window: ['b'], interval: ['b'], ratio: 0.05 }, 'the later uploader')
  t.same(judge(of(0, 100, 12), of(95, 195, 11)), { window: ['a'], interval: ['a'], ratio: 0.05 })
  t.same(judge(of(0, 100, 10), of(97, 197, 11)), { window: [], interval: ['b'], ratio: 0.03 }, 'intervals are stricter')
  t.same(judge(of(0, 100, 11), of(50, 150, 11)), { window: [], interval: [], ratio: 0.5 }, 'equal times: nobody')
  t.same(judge(of(0, 100, null), of(50, 150, 11)), { window: [], interval: [], ratio: 0.5 }, 'an unknown time: nobody')
  t.same(
    judge(of(0, 100, 10), of(50, 150, 11), FORK_V1),
    { window: ['a', 'b'], interval: [], ratio: 0.5 },
    'fork-v1: both',
  )
  t.same(judge(of(0, 100, 10), of(100, 200, 11)), { window: [], interval: [], ratio: undefined })
  const ledger = emptyLedger()
  judgeWindow(
    ledger,
    new Map([
      ['a', of(0, 100, 10)],
      ['b', of(98, 198, 11)],
    ]),
    GRAIL_V5,
  )
  const later = judgeWindow(
    ledger,
    new Map([
      ['a', of(200, 300, 20)],
      ['b', of(296, 396, 21)],
    ]),
    GRAIL_V5,
  )
  t.same([...later.intervalCheaters], ['b'], '2 % and 4 % make 3 % of an interval')
  t.end()
})

t.test('weights', t => {
  const windows = Array.from({ length: 12 }, (_, i) => i * 30)
  const miner = (uid: number, estimatedUnique: number, over: object = {}) => ({
    uid,
    checked: new Map(windows.map(window => [window, { estimatedUnique, hadFailure: false }])),
    windowsActive: 12,
    ...over,
  })
  const burn = { uid: 0, checked: new Map(), windowsActive: 0 }
  const weights = (...miners: Parameters<typeof scoreWeights>[0][number][]) => scoreWeights(miners, 330, 30, GRAIL_V5)
  t.same(weights(burn, miner(1, 5000)), [0.9, 0.09999999999999998])
  t.same(weights(burn, miner(1, 50_000)), weights(burn, miner(1, 5000)), 'nothing counts beyond the cap')
  t.same(weights(burn, miner(1, 0)), [1, 0], 'nothing earned: all is burned')
  t.same(weights(burn), [1])
  const failed = new Map(miner(1, 5000).checked).set(330, { estimatedUnique: 5000, hadFailure: true })
  t.same(weights(burn, miner(1, 5000, { checked: failed })), [1, 0], 'one failure in the range takes everything')
  const once = new Map([[30, { estimatedUnique: 2500, hadFailure: false }]])
  t.same(
    weights(burn, miner(1, 0, { checked: once })),
    weights(burn, miner(1, 2500)),
    'checked windows stand for all active ones',
  )
  t.same(weights(miner(1, 5000)), [1], 'without the burn uid nothing is burned')
  t.end()
})

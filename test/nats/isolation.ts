import t from 'tap'
import { BrokerError } from '../../nats/errors.js'
import { isolationOf } from '../../nats/isolation.js'

const silence = new BrokerError('timeout', 'no answer')
const nobody = new BrokerError('no-responders', 'nobody there')
const leaderless = new BrokerError('busy', 'no leader', { number: 10008 })
const absent = new BrokerError('not-found', 'no such stream', { number: 10059 })
const lost = new BrokerError('unreachable', 'the connection broke')
const LIMIT_MS = 1_000

/** At which time what becomes of a question; 'forget' is another connection. */
type Step = [atMs: number, what: Error | 'answer' | 'forget']

const cases: [title: string, steps: Step[], leftAtMs: number[]][] = [
  [
    'silence for as long as the limit is left',
    [
      [0, silence],
      [500, nobody],
      [1_000, leaderless],
    ],
    [1_000],
  ],
  ['one failure is none, however long it took', [[5_000, silence]], []],
  [
    'an answer between two failures begins anew',
    [
      [0, silence],
      [900, 'answer'],
      [1_100, silence],
      [2_000, silence],
    ],
    [],
  ],
  [
    '… and so does a refusal, which is an answer',
    [
      [0, nobody],
      [900, absent],
      [1_100, nobody],
    ],
    [],
  ],
  [
    '… and another connection',
    [
      [0, silence],
      [900, 'forget'],
      [1_100, silence],
    ],
    [],
  ],
  [
    'what says nothing of the server changes nothing',
    [
      [0, silence],
      [500, lost],
      [600, new Error('given up')],
      [1_000, silence],
    ],
    [1_000],
  ],
  [
    'silence that goes on is left again after as long',
    [
      [0, silence],
      [1_000, silence],
      [1_500, silence],
      [2_400, silence],
      [2_500, silence],
    ],
    [1_000, 2_500],
  ],
]

for (const [title, steps, expected] of cases)
  t.test(title, async t => {
    let nowMs = 0
    const left: number[] = []
    const isolation = isolationOf(
      LIMIT_MS,
      () => left.push(nowMs),
      () => nowMs,
    )
    for (const [atMs, what] of steps) {
      nowMs = atMs
      if (what === 'forget') isolation.forget()
      else if (what === 'answer') isolation.answered()
      else isolation.failed(what)
    }
    t.same(left, expected)
  })

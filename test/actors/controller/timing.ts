import t from 'tap'
import { emptyLedger, fold, type Ledger, send } from '../../../actors/controller/ledger.js'
import type { ControllerParts } from '../../../actors/controller/options.js'
import { measureTiming, type Timing } from '../../../actors/controller/timing.js'
import type { JournalEvent } from '../../../actors/journal.js'
import { NOMINAL_BLOCK_MS } from '../../../src/window/block.js'
import { tailOf, timersOf } from '../../../src/window/deadline.js'

// What the windows before teach: how long before its deadline the next one ends draining.

const WINDOW = 900
const DEADLINE_MS = 1_000_000
const FIRST_TAIL_MS = 5_000
const HEAD = { number: WINDOW, timestampMs: 0, hash: '0x' }

/** A controller that has learned from one window, whose file was to be sealed at 990 s. */
function learned(events: { kind: string; atMs: number; payload?: object }[]): number {
  const parts = { firstTailMs: FIRST_TAIL_MS } as ControllerParts
  const timing: Timing = measureTiming(parts, new AbortController().signal)
  const ledger: Ledger = emptyLedger(WINDOW, 1)
  send(ledger, { type: 'OPENED', timers: timersOf(DEADLINE_MS, 10_000, 1_000) })
  const sealing = { kind: 'state', atMs: 990_000, payload: { state: 'sealing', why: '', atMs: 0 } }
  for (const [seq, { kind, atMs, payload = {} }] of [sealing, ...events].entries()) {
    const event = { kind, window: WINDOW, epoch: 1, index: -1, seq, timeMs: atMs, payload } as unknown as JournalEvent
    fold(ledger, event)
    timing.learn(ledger, event)
  }
  const { deadlineMs, drainEndMs } = timing.timersFor(WINDOW + 30, { ...HEAD, number: WINDOW + 30 })
  t.equal(deadlineMs, 30 * NOMINAL_BLOCK_MS - 4_000)
  return deadlineMs - drainEndMs
}

const sealed = [
  { kind: 'assembling', atMs: 980_000, payload: { attempt: 1, aggregator: 'a' } },
  { kind: 'sealed', atMs: 991_000, payload: { attempt: 1, rows: 16 } },
]
const final = { kind: 'final', atMs: 980_000, payload: { hash: '0x' } }
const uploaded = { kind: 'uploaded', atMs: 993_000 }
const failed = (atMs: number) => ({ kind: 'uploadfailed', atMs, payload: { reason: 'not complete in time' } })

t.test('the tail is the time from the word to seal to the verified object, by the clock of the server', t => {
  t.equal(learned([...sealed, final, uploaded]), tailOf([3_000]))
  t.end()
})

t.test(
  'a file that was not complete in time tells of a longer tail, so that the next window is not missed as well',
  t => {
    const cases: [what: string, events: Parameters<typeof learned>[0], tails: number[]][] = [
      ['given up a second before the deadline', [...sealed, final, failed(999_100)], [9_100]],
      ['failed before its time was over: no matter of time', [...sealed, final, failed(995_000)], []],
      ['its hash was not final', [...sealed, failed(999_100)], []],
      ['no file was sealed', [final, failed(999_100)], []],
    ]
    for (const [what, events, tails] of cases) t.equal(learned(events), tailOf(tails, FIRST_TAIL_MS), what)
    t.end()
  },
)

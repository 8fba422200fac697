import t from 'tap'
import type { Desk } from '../../../actors/controller/desk.js'
import { emptyLedger, fold, type Ledger } from '../../../actors/controller/ledger.js'
import type { WindowEvent } from '../../../actors/controller/machine.js'
import { watchForRace } from '../../../actors/controller/race.js'
import type { JournalEvent } from '../../../actors/journal.js'
import { timersOf } from '../../../src/window/deadline.js'

// When the list of checkpoints is read again, and what follows from the answer. Nobody waits for it.

const W = 900
const timers = timersOf(1_000_000, 5_000, 10_000)

type Answer = { window: number; weightsHash: string } | string

function scene(answer: () => Promise<Answer>, fails = false) {
  const moved: WindowEvent[] = []
  const warned: object[] = []
  const alarms: object[] = []
  const slept: number[] = []
  let asked = 0
  const desk = {
    signal: new AbortController().signal,
    parts: {
      log: { warn: (facts: object) => warned.push(facts), error: (facts: object) => alarms.push(facts) },
      clock: { sleep: async (ms: number) => void slept.push(ms) },
      checkpoint: () => {
        asked++
        return answer()
      },
    },
    move: async (_: Ledger, event: WindowEvent) => {
      if (fails) throw new Error('the broker is away')
      moved.push(event)
    },
  } as unknown as Desk
  const ledger = emptyLedger(W, 1)
  const payload = { hash: '', checkpoint: { window: 870, weightsHash: 'a' }, timers }
  fold(ledger, {
    kind: 'opened',
    window: W,
    epoch: 1,
    index: -1,
    seq: 1,
    timeMs: 0,
    payload,
  } as unknown as JournalEvent)
  return { desk, ledger, moved, warned, alarms, slept, asked: () => asked }
}

const settled = () => new Promise(resolve => setImmediate(resolve))
const same = async () => ({ window: 870, weightsHash: 'a' })

t.test('read again two blocks after the start, and once more before the file is sealed', t => {
  const { desk, ledger, asked } = scene(same)
  for (const best of [W, W + 1]) watchForRace(desk, ledger, best)
  t.equal(asked(), 0)
  for (const best of [W + 2, W + 3, W + 20]) watchForRace(desk, ledger, best)
  t.equal(asked(), 1)
  fold(ledger, state('draining'))
  for (const best of [W + 25, W + 26]) watchForRace(desk, ledger, best)
  t.equal(asked(), 2)
  t.end()
})

t.test('a list that never comes holds nobody up', t => {
  const { desk, ledger, asked } = scene(() => new Promise(() => {}))
  watchForRace(desk, ledger, W + 2)
  fold(ledger, state('draining'))
  watchForRace(desk, ledger, W + 25)
  t.equal(asked(), 2, 'nor the second reading')
  t.end()
})

t.test('only another checkpoint discards the window; no answer is no reason', async t => {
  const cases: [what: string, answer: () => Promise<Answer>, moved: object[], warned: object[]][] = [
    ['the same', same, [], []],
    [
      'a newer one',
      async () => ({ window: 900, weightsHash: 'b' }),
      [{ type: 'SUPERSEDED', reason: 'checkpoint 900 became ready after the window was opened with 870' }],
      [],
    ],
    ['other weights', async () => ({ window: 870, weightsHash: 'b' }), [{ type: 'SUPERSEDED' }], []],
    ['a sentence', async () => 'the bucket is away', [], Array(3).fill({ why: 'the bucket is away' })],
    ['an error', async () => Promise.reject(new Error('the chain is away')), [], Array(3).fill({ err: Error })],
  ]
  for (const [what, answer, moves, warns] of cases) {
    const { desk, ledger, moved, warned } = scene(answer)
    watchForRace(desk, ledger, W + 2)
    await settled()
    t.match(moved, moves, what)
    t.equal(moved.length, moves.length, what)
    t.match(warned, warns, what)
    t.equal(warned.length, warns.length, what)
  }
})

t.test('a list that cannot be read is asked for again, some seconds later', async t => {
  const answers: Answer[] = ['the bucket is away', 'the bucket is away', { window: 900, weightsHash: 'b' }]
  const { desk, ledger, moved, slept, asked } = scene(async () => answers.shift() as Answer)
  watchForRace(desk, ledger, W + 2)
  await settled()
  t.equal(asked(), 3)
  t.match(moved, [{ type: 'SUPERSEDED' }])
  t.ok(slept.length === 2 && slept.every(ms => ms >= 1_000))
})

t.test('an answer that comes after the object was counted is an alarm', async t => {
  const { desk, ledger, moved, alarms } = scene(async () => ({ window: 900, weightsHash: 'b' }))
  watchForRace(desk, ledger, W + 2)
  for (const kind of ['assembling', 'sealed', 'uploaded']) fold(ledger, file(kind))
  await settled()
  t.equal(ledger.machine.value, 'done')
  t.match(alarms, [{ window: W, why: /checkpoint 900 became ready/ }])
  t.same(moved, [])
})

t.test('a broker that is away is not a list that cannot be read', async t => {
  const { desk, ledger, warned, alarms, asked } = scene(async () => ({ window: 900, weightsHash: 'b' }), true)
  watchForRace(desk, ledger, W + 2)
  await settled()
  t.same(warned, [])
  t.equal(asked(), 1)
  t.match(alarms, [{ err: /the broker is away/ }])
})

function file(kind: string): JournalEvent {
  const payload = { attempt: 1, aggregator: 'a', rows: 16 }
  return { kind, window: W, epoch: 1, index: -1, seq: 3, timeMs: 0, payload } as unknown as JournalEvent
}

function state(name: string): JournalEvent {
  const payload = { state: name, atMs: 0, why: '' }
  return { kind: 'state', window: W, epoch: 1, index: -1, seq: 2, timeMs: 0, payload } as unknown as JournalEvent
}

import t from 'tap'
import { summarise } from '../../actors/controller/closing.js'
import type { Desk } from '../../actors/controller/desk.js'
import { watchHearing } from '../../actors/controller/hearing.js'
import { emptyLedger, fold, isOver, type Ledger, send } from '../../actors/controller/ledger.js'
import type { Opened } from '../../actors/controller/messages.js'
import { entered, nextCheckpoint, opened, timersMoved } from '../../actors/controller/messages.js'
import { ensureStreams } from '../../actors/ensure.js'
import { followJournal, type JournalEvent } from '../../actors/journal.js'
import { followWindows } from '../../actors/windows.js'
import { announce, type Broker } from '../../nats/index.js'
import { timersOf } from '../../src/window/deadline.js'
import { brokerOf, inTime, natsServerAbsent, startNats, until } from '../helpers/nats-server.js'

// What the controller says reaches the journal, once, and whoever reads it comes to the same end.

const W = 900
const timers = timersOf(1_000_000, 5_000, 10_000)
const named = (window: number) => ({ window, modelName: 'm', weightsHash: `${window}`, environment: 'sat' })
const OPENED: Opened = {
  profile: 'grail-v5',
  hotkey: '5F',
  hash: `0x${'0'.repeat(64)}`,
  randomness: '0'.repeat(64),
  block: W,
  startMs: 0,
  checkpoint: named(870),
  timers,
  maxGroups: 10,
}
const quiet = { debug() {}, info() {}, warn() {}, error() {} }

t.setTimeout(60_000)
t.test('the words of a controller', { skip: natsServerAbsent }, async t => {
  const nats = await startNats(t)
  const broker = await brokerOf(t, nats)
  await ensureStreams(broker, { replicas: 1, presenceMs: 4_000, leaseMs: 4_000, signal: inTime() })

  await t.test('every end is said with the summary, whoever brought it about and whatever was said of it', async t => {
    const cases: [window: number, end: (ledger: Ledger) => void, state: string, why: string][] = [
      // The machine was moved, and the broker was away when it was to be said.
      [930, ledger => void send(ledger, { type: 'SUPERSEDED', reason: 'reorg' }), 'skipped', 'reorg'],
      // It follows from what another actor said.
      [960, ledger => fold(ledger, file('assemblyfailed', { reason: 'no room' })), 'failed', 'no room'],
      [990, ledger => fold(ledger, file('uploadfailed', { reason: 'late', clean: true })), 'failed', 'late'],
    ]
    for (const [window, end, state, why] of cases) {
      const ledger = emptyLedger(window, 1)
      send(ledger, { type: 'OPENED', timers })
      end(ledger)
      t.ok(isOver(ledger))
      await summarise(deskOf(broker), ledger)
      const events = await read(broker, window)
      t.same(
        events.map(({ kind }) => kind),
        ['state', 'summarised'],
      )
      t.match(events[0]?.payload, { state, why })
    }
  })

  await t.test('what is said, unsaid and said again arrives three times', async t => {
    const holes = { window: W, epoch: 1 }
    for (const [i, at] of [930, 960, 930].entries()) {
      const moved = timersOf(at * 1_000, 5_000, 10_000)
      const said = { atMs: i, why: '' }
      const twice = [1, 2]
      for (const _ of twice)
        await announce(broker, timersMoved, holes, { timers: moved, ...said }, { signal: inTime() })
      for (const _ of twice)
        await announce(broker, nextCheckpoint, holes, { checkpoint: named(at), atMs: i }, { signal: inTime() })
    }
    const events = await read(broker, W)
    const of = <K extends JournalEvent['kind']>(kind: K) =>
      events.flatMap(event => (event.kind === kind ? [event as Extract<JournalEvent, { kind: K }>] : []))
    t.same(
      of('timers').map(({ payload }) => payload.timers.deadlineMs),
      [930_000, 960_000, 930_000],
    )
    t.same(
      of('next').map(({ payload }) => payload.checkpoint.window),
      [930, 960, 930],
    )
  })

  await t.test('of two ends the first one counts', async t => {
    const over = new AbortController()
    t.teardown(() => over.abort())
    const windows = followWindows(broker, { signal: over.signal, log: quiet, onChange() {} })
    for (const [window, first, second] of [
      [1_020, 'done', 'skipped'],
      [1_050, 'failed', 'done'],
    ] as const) {
      const holes = { window, epoch: 1 }
      await announce(broker, opened, holes, OPENED, { signal: inTime() })
      for (const state of [first, second])
        await announce(broker, entered, holes, { state, atMs: 0, why: '' }, { signal: inTime() })
      const later = { timers: timersOf(2_000_000, 5_000, 10_000), atMs: 0, why: '' }
      await announce(broker, timersMoved, holes, later, { signal: inTime() })
      const found = await until('both ends are heard', () =>
        windows.all().find(other => other.window === window && other.timers.deadlineMs === 2_000_000),
      )
      t.equal(found.state, first)
      t.equal(found.worthless.aborted, first === 'failed')
    }
  })

  await t.test('a broker that is away is not heard, and then it is heard since it is back', async t => {
    const over = new AbortController()
    t.teardown(() => over.abort())
    let nowMs = 1_000
    const hearing = watchHearing({ broker, clock: { now: () => nowMs, sleep: async () => {} } }, over.signal)
    t.equal(hearing.sinceMs(), 1_000)
    nowMs = 2_000
    t.equal(hearing.sinceMs(), 1_000)
    await nats.kill()
    await until('the connection breaks', () => !broker.connected || undefined)
    t.equal(hearing.sinceMs(), Number.POSITIVE_INFINITY)
    nowMs = 3_000
    await nats.restart()
    await until('it is back', () => broker.connected || undefined)
    t.equal(hearing.sinceMs(), 3_000)
  })
})

function deskOf(broker: Broker): Desk {
  return { parts: { broker, clock: { now: () => 0 }, say() {} }, signal: inTime() } as unknown as Desk
}

function file(kind: string, payload: object): JournalEvent {
  return { kind, window: 0, epoch: 1, index: -1, seq: 1, timeMs: 0, payload } as unknown as JournalEvent
}

/** What the journal holds of a window at this moment. */
async function read(broker: Broker, window: number): Promise<JournalEvent[]> {
  const end = new AbortController()
  const events: JournalEvent[] = []
  const journal = followJournal(
    broker,
    { window, epoch: 1 },
    {
      signal: end.signal,
      onEvent: event => void events.push(event),
      onBroken: (subject, error) => {
        throw new Error(`${subject}: ${String(error)}`)
      },
    },
  )
  await journal.caughtUp
  end.abort()
  await journal.done
  return events
}

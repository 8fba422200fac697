import t from 'tap'
import { createActor, transition } from 'xstate'
import { getShortestPaths } from 'xstate/graph'
import { type WindowEvent, type WindowSnapshot, windowMachine } from '../../../actors/controller/machine.js'
import { type Timers, timersOf } from '../../../src/window/deadline.js'

const D = 1_000_000
const TAIL = 5_000
const GROUP = 10_000
const timers: Timers = timersOf(D, TAIL, GROUP)
const tick = (nowMs: number): WindowEvent => ({ type: 'TICK', nowMs })

const EVENTS = {
  prepare: { type: 'PREPARE' },
  opened: { type: 'OPENED', timers },
  claimsClose: tick(timers.claimsCloseMs),
  drained: { type: 'DRAINED' },
  drainEnd: tick(timers.drainEndMs),
  sealed: { type: 'SEALED', rows: 160 },
  empty: { type: 'SEALED', rows: 0 },
  completed: { type: 'COMPLETED' },
  uploaded: { type: 'UPLOADED' },
  failed: { type: 'FAILED', reason: 'why' },
  superseded: { type: 'SUPERSEDED', reason: 'reorg' },
  abortAt: tick(timers.abortAtMs),
  deadline: tick(timers.deadlineMs),
  verifyBy: tick(timers.verifyByMs),
} satisfies Record<string, WindowEvent>
type Name = keyof typeof EVENTS

function fresh(): WindowSnapshot {
  return createActor(windowMachine, { input: { window: 900, epoch: 1, timers } }).getSnapshot()
}

function after(...names: Name[]): WindowSnapshot {
  return names.reduce((snapshot, name) => transition(windowMachine, snapshot, EVENTS[name])[0], fresh())
}

/** The way into each state. */
const INTO: Record<string, Name[]> = {
  announced: [],
  preparing: ['prepare'],
  generating: ['prepare', 'opened'],
  draining: ['prepare', 'opened', 'claimsClose'],
  sealing: ['prepare', 'opened', 'drainEnd'],
  uploading: ['prepare', 'opened', 'drainEnd', 'sealed'],
  verifying: ['prepare', 'opened', 'drainEnd', 'sealed', 'completed'],
  done: ['prepare', 'opened', 'drainEnd', 'sealed', 'completed', 'uploaded'],
  skipped: ['superseded'],
  failed: ['prepare', 'opened', 'failed'],
}

/** state: event → next state. What is not listed changes nothing. */
const TABLE: Record<string, Partial<Record<Name, string>>> = {
  announced: {
    prepare: 'preparing',
    opened: 'generating',
    superseded: 'skipped',
    drainEnd: 'skipped',
    abortAt: 'skipped',
    deadline: 'skipped',
    verifyBy: 'skipped',
  },
  preparing: {
    opened: 'generating',
    superseded: 'skipped',
    failed: 'skipped',
    drainEnd: 'skipped',
    abortAt: 'skipped',
    deadline: 'skipped',
    verifyBy: 'skipped',
  },
  generating: {
    claimsClose: 'draining',
    drainEnd: 'sealing',
    abortAt: 'sealing',
    deadline: 'sealing',
    verifyBy: 'sealing',
    sealed: 'uploading',
    empty: 'done',
    failed: 'failed',
    superseded: 'skipped',
  },
  draining: {
    drained: 'sealing',
    drainEnd: 'sealing',
    abortAt: 'sealing',
    deadline: 'sealing',
    verifyBy: 'sealing',
    sealed: 'uploading',
    empty: 'done',
    failed: 'failed',
    superseded: 'skipped',
  },
  sealing: {
    sealed: 'uploading',
    empty: 'done',
    abortAt: 'failed',
    deadline: 'failed',
    verifyBy: 'failed',
    failed: 'failed',
    superseded: 'skipped',
  },
  uploading: {
    completed: 'verifying',
    uploaded: 'done',
    verifyBy: 'failed',
    failed: 'failed',
    superseded: 'skipped',
  },
  verifying: { uploaded: 'done', verifyBy: 'failed', failed: 'failed', superseded: 'skipped' },
  done: {},
  skipped: {},
  failed: {},
}

t.test('a window goes through its states as the table says', t => {
  for (const [state, way] of Object.entries(INTO)) {
    const from = after(...way)
    t.equal(from.value, state, `the way into ${state}`)
    for (const name of Object.keys(EVENTS) as Name[]) {
      const next = transition(windowMachine, from, EVENTS[name])[0].value
      const expected = TABLE[state]?.[name] ?? state
      t.equal(next, expected, `${state} + ${name} = ${expected}`)
    }
  }
  t.end()
})

t.test('every state that is not an end is left by time alone', t => {
  for (const [state, way] of Object.entries(INTO)) {
    let snapshot = after(...way)
    for (let i = 0; i < Object.keys(INTO).length && snapshot.status === 'active'; i++)
      snapshot = transition(windowMachine, snapshot, EVENTS.verifyBy)[0]
    t.equal(snapshot.status, 'done', `${state} ends`)
  }
  t.end()
})

t.test('every state is reached by some way, and none of the ways passes a state twice', t => {
  const paths = getShortestPaths(windowMachine, {
    input: { window: 900, epoch: 1, timers },
    events: Object.values(EVENTS),
    serializeState: snapshot => String(snapshot.value),
  })
  t.same(new Set(paths.map(path => String(path.state.value))), new Set(Object.keys(INTO)))
  for (const path of paths) {
    const values = path.steps.map(({ state }) => String(state.value))
    t.equal(new Set(values).size, values.length, `to ${String(path.state.value)}: ${values.join(' → ')}`)
  }
  t.end()
})

t.test('every way to done goes through a sealed file', t => {
  const paths = getShortestPaths(windowMachine, {
    input: { window: 900, epoch: 1, timers },
    events: Object.values(EVENTS),
    serializeState: snapshot => String(snapshot.value),
  })
  for (const { steps } of paths.filter(path => path.state.value === 'done'))
    t.ok(steps.some(({ event }) => event.type === 'SEALED'))
  t.end()
})

t.test('why a window ended is kept', t => {
  t.equal(after('superseded').context.reason, 'reorg')
  t.equal(after('prepare', 'drainEnd').context.reason, 'not prepared in time')
  t.equal(after('prepare', 'opened', 'drainEnd', 'abortAt').context.reason, 'not sealed before the deadline')
  t.equal(
    after('prepare', 'opened', 'drainEnd', 'sealed', 'verifyBy').context.reason,
    'nothing was heard of the upload',
  )
  t.end()
})

t.test('who could not be heard is not judged by silence; what is said counts all the same', t => {
  const cases: [way: Name[], lateMs: number][] = [
    [['prepare', 'opened', 'drainEnd'], timers.abortAtMs],
    [['prepare', 'opened', 'drainEnd', 'sealed'], timers.verifyByMs],
    [['prepare', 'opened', 'drainEnd', 'sealed', 'completed'], timers.verifyByMs],
  ]
  for (const [way, lateMs] of cases) {
    const from = after(...way)
    const judgesFromMs = lateMs + 10_000
    const silent = (nowMs: number) => transition(windowMachine, from, { type: 'TICK', nowMs, judgesFromMs })[0]
    t.equal(silent(judgesFromMs - 1).value, from.value, `${String(from.value)} goes on`)
    t.equal(silent(judgesFromMs).value, 'failed', `${String(from.value)} ends`)
    const never = transition(windowMachine, from, {
      type: 'TICK',
      nowMs: lateMs,
      judgesFromMs: Number.POSITIVE_INFINITY,
    })[0]
    t.equal(never.value, from.value, 'with the broker away nothing is known')
    t.equal(transition(windowMachine, from, EVENTS.failed)[0].value, 'failed')
  }
  t.end()
})

t.test('timers that moved count from the next tick on', t => {
  const later = timersOf(D + 60_000, TAIL, GROUP)
  const [moved] = transition(windowMachine, after('prepare', 'opened'), { type: 'TIMERS', timers: later })
  t.equal(transition(windowMachine, moved, EVENTS.drainEnd)[0].value, 'generating')
  t.equal(transition(windowMachine, moved, tick(later.drainEndMs))[0].value, 'sealing')
  t.end()
})

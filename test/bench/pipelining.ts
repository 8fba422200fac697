import t from 'tap'
import { accountOf, groupsWithin, pausesOf } from '../../bench/pipelining/account.js'
import { pacedBatcher } from '../../bench/pipelining/batcher.js'

/** A batcher of 10 ms a step and two places, with a clock that the test moves. */
function batcherAt(startMs: number) {
  let nowMs = startMs
  const batcher = pacedBatcher({ stepMs: 10, places: 2 }, () => nowMs)
  const done: string[] = []
  return {
    batcher,
    done,
    to(ms: number): void {
      nowMs = ms
      batcher.tick(nowMs)
    },
    add: (name: string, group: number, tokens: number) =>
      batcher.add({ group, tokens, done: () => void done.push(`${name} ${nowMs}`) }),
  }
}

t.test('a step gives every running sequence a token; who finds no place waits until one leaves', t => {
  const { batcher, done, to, add } = batcherAt(0)
  t.equal(batcher.dueMs(), undefined, 'without sequences there is no step')
  add('a', 0, 1)
  t.equal(batcher.dueMs(), 10, 'the first one begins a step')
  add('b', 0, 3)
  add('c', 1, 2)
  add('d', 1, 1)
  to(9)
  t.same(done, [], 'nothing is done before the step is over')
  to(10)
  t.same(done, ['a 10'])
  to(20)
  to(30)
  t.same(done, ['a 10', 'c 30'], 'who came within a step joins at its end')
  to(40)
  t.same(done, ['a 10', 'c 30', 'b 40', 'd 40'], 'the last one waited for a place')
  t.equal(batcher.dueMs(), undefined, 'when all are done it stands still')
  t.same(
    batcher.record().steps.map(({ running, waiting }) => [running, waiting]),
    [
      [1, 0],
      [2, 1],
      [2, 1],
      [2, 0],
    ],
  )
  t.end()
})

t.test('timers that fire late do not slow it down, and a whole step missed is not caught up with', t => {
  const { batcher, to, add } = batcherAt(0)
  add('a', 0, 10)
  to(13)
  t.equal(batcher.dueMs(), 20, 'the next step began when it was due')
  to(35)
  t.equal(batcher.dueMs(), 45, 'after a step and a half it goes on from now')
  t.same(batcher.record().late, [{ atMs: 35, ms: 15 }])
  t.end()
})

t.test('what a span of time came to', t => {
  const { batcher, to, add } = batcherAt(0)
  add('a', 0, 2)
  for (const ms of [10, 20, 60]) to(ms)
  add('b', 1, 1)
  add('c', 1, 1)
  for (const ms of [70, 80]) to(ms)
  const record = batcher.record()
  t.same(record.groups, [
    { arrivedMs: 0, endedMs: 20, tokens: 2 },
    { arrivedMs: 60, endedMs: 80, tokens: 2 },
  ])
  const of = { stepMs: 10, places: 2 }
  t.match(accountOf(record, { fromMs: 0, toMs: 80 }, of), { ownMs: 80, lateMs: 0, idleMs: 40 }, 'idle between groups')
  t.equal(accountOf(record, { fromMs: 0, toMs: 80 }, of).tokensPerSecond, 50, '4 tokens in 80 ms')
  t.equal(accountOf(record, { fromMs: 0, toMs: 20 }, of).fill, 0.5, 'one of two places')
  t.equal(accountOf(record, { fromMs: 15, toMs: 30 }, of).idleMs, 10, 'of a step that began before it its share counts')
  t.equal(groupsWithin(record, { fromMs: 30, toMs: 80 }).length, 1, 'groups count where they came')
  t.end()
})

t.test('time the server came late itself is neither work nor idleness', t => {
  const { batcher, to, add } = batcherAt(0)
  add('a', 0, 4)
  for (const ms of [10, 20, 50, 60]) to(ms)
  const account = accountOf(batcher.record(), { fromMs: 0, toMs: 60 }, { stepMs: 10, places: 2 })
  t.match(account, { lateMs: 20, ownMs: 40, idleMs: 0 })
  t.equal(account.tokensPerSecond, 100)
  t.end()
})

t.test('a sequence that is given up leaves its place', t => {
  const { done, to, add } = batcherAt(0)
  const takeOut = add('a', 0, 100)
  add('b', 1, 1)
  add('c', 2, 1)
  takeOut()
  takeOut()
  for (const ms of [10, 20, 30, 40]) to(ms)
  t.same(
    done.map(line => line.split(' ')[0]),
    ['b', 'c'],
    'and is never said to be done',
  )
  t.end()
})

t.test('pauses are from a group to the one that takes its place', t => {
  const group = (arrivedMs: number, endedMs: number) => ({ arrivedMs, endedMs, tokens: 1 })
  const cases: [what: string, groups: ReturnType<typeof group>[], pauses: number[]][] = [
    ['one after the other', [group(0, 100), group(105, 200), group(220, 300)], [5, 20]],
    ['two at once', [group(0, 100), group(0, 150), group(103, 200), group(151, 300)], [3, 1]],
    ['one more is tried: no pause', [group(0, 100), group(50, 150), group(101, 200)], [1]],
    ['one fewer: who ended last is followed', [group(0, 100), group(0, 200), group(204, 300)], [4]],
  ]
  for (const [what, groups, pauses] of cases) t.same(pausesOf(groups), pauses, what)
  t.end()
})

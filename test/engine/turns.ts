import t from 'tap'
import { expectTurns } from '../../src/engine/server/turns.js'

t.test('how long one more would stand in line, by how long turns lasted and when those under way began', t => {
  let nowMs = 0
  const turns = expectTurns(() => nowMs)
  const first = turns.begin()
  t.equal(turns.waitMs(1, 0), 0, 'nothing is known before the first turn is over')
  nowMs = 100
  first(true)
  t.equal(turns.waitMs(1, 0), 0, 'a free place is had at once')
  const a = turns.begin()
  nowMs = 130
  turns.begin()
  nowMs = 150
  // Turns last 100 ms: places come free at 200 and at 230, and then every 100 ms anew.
  const cases: [what: string, places: number, waiting: number, ms: number][] = [
    ['a third place', 3, 0, 0],
    ['a third place that somebody waits for already', 3, 1, 50],
    ['no place, first in line', 2, 0, 50],
    ['second in line', 2, 1, 80],
    ['third in line: the second turn after', 2, 2, 150],
    ['fewer places than are taken', 1, 0, 80],
  ]
  for (const [what, places, waiting, ms] of cases) t.equal(turns.waitMs(places, waiting), ms, what)
  nowMs = 210
  t.equal(turns.waitMs(2, 0), 0, 'one that lasts longer than they do may be over at any moment')
  a(false)
  a(true)
  t.equal(turns.waitMs(1, 0), 20, 'one that was given up says nothing of how long they last')
  t.end()
})

t.test('the latest turns count', t => {
  let nowMs = 0
  const turns = expectTurns(() => nowMs)
  const last = (ms: number) => {
    const over = turns.begin()
    nowMs += ms
    over(true)
  }
  for (let i = 0; i < 20; i++) last(1_000)
  for (let i = 0; i < 11; i++) last(10)
  turns.begin()
  t.equal(turns.waitMs(1, 0), 10)
  t.end()
})

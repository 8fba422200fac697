import t from 'tap'
import { rotation } from '../../src/chain/rotation.js'

await t.test('endpoints take turns; the one preferred is next', async t => {
  const turns = rotation(['a', 'b', 'c'], () => 0)
  t.same([turns.next(), turns.next(), turns.next(), turns.next()], ['a', 'b', 'c', 'a'])
  turns.prefer('c')
  t.equal(turns.next(), 'c')
  turns.prefer('nowhere')
  t.equal(turns.next(), 'a')
})

await t.test('pauses: short for the first round, then doubling up to 8 s, short again once one worked', async t => {
  const turns = rotation(['a', 'b'], () => 0)
  const pauses = Array.from({ length: 9 }, () => {
    turns.next()
    return turns.pauseMs()
  })
  t.same(pauses, [250, 250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000])
  turns.worked()
  turns.next()
  t.equal(turns.pauseMs(), 250)
})

await t.test('chance adds up to half', async t => {
  const turns = rotation(['a'], () => 0.999)
  turns.next()
  t.ok(turns.pauseMs() > 370 && turns.pauseMs() < 375)
})

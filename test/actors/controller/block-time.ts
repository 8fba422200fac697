import t from 'tap'
import { measureBlockTime } from '../../../actors/controller/block-time.js'

// How long a block takes, from the blocks' own timestamps.

const head = (number: number, timestampMs: number) => ({ number, timestampMs, hash: `0x${number}` })

t.test('twelve seconds, until blocks say otherwise', t => {
  const time = measureBlockTime()
  t.equal(time.blockMs(), 12_000)
  time.before(60, 750_000)
  t.equal(time.blockMs(), 12_500, 'the pace before the first head')
  time.before(0, 5)
  time.before(5, 0)
  t.equal(time.blockMs(), 12_500, 'an empty span says nothing')
  t.end()
})

t.test('from the tenth interval on it is the median: heads may skip, and a halt does not slow it down', t => {
  const time = measureBlockTime()
  let number = 900
  let now = 1_000_000
  const next = (blocks: number, ms: number) => {
    number += blocks
    now += ms
    time.seen(head(number, now))
  }
  for (let block = 0; block < 10; block++) next(1, 13_000)
  t.equal(time.blockMs(), 12_000, 'nine intervals are too few')
  next(3, 39_000)
  t.equal(time.blockMs(), 13_000, 'an interval over three blocks counts as one block’s')
  next(1, 300_000)
  t.equal(time.blockMs(), 13_000)
  t.end()
})

t.test('what a reorg has taken away does not count', t => {
  const time = measureBlockTime()
  for (let block = 0; block < 12; block++) time.seen(head(900 + block, block * 20_000))
  t.equal(time.blockMs(), 20_000)
  time.seen(head(901, 20_000))
  t.equal(time.blockMs(), 12_000, 'too few are left')
  t.end()
})

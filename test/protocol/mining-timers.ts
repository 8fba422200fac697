import t from 'tap'
import {
  blocksNeeded,
  forkTimers,
  GRAIL_V5_TIMERS,
  startTimers,
  withBlock,
  withGeneration,
  withUpload,
} from '../../src/protocol/mining-timers.js'

t.test('before anything is measured a group needs ten blocks', t => {
  t.equal(blocksNeeded(GRAIL_V5_TIMERS, startTimers()), 10)
  t.equal(blocksNeeded(forkTimers(), startTimers()), 1, 'the fork caps by its margin')
  t.equal(blocksNeeded(forkTimers(8, 12), startTimers()), 8)
  t.end()
})

t.test('the answer stays between 1 and 29 blocks', t => {
  const slow = withGeneration(GRAIL_V5_TIMERS, startTimers(), 100_000)
  t.equal(blocksNeeded(GRAIL_V5_TIMERS, slow), 29)
  const quick = withUpload(withGeneration(GRAIL_V5_TIMERS, startTimers(), 0), 0)
  t.equal(blocksNeeded({ ...GRAIL_V5_TIMERS, safetyBlocks: 0 }, quick), 1)
  t.end()
})

t.test('first samples count as they are, later ones a fifth', t => {
  let timers = withUpload(startTimers(), 10)
  t.equal(timers.uploadSeconds, 10)
  timers = withUpload(timers, 20)
  t.equal(timers.uploadSeconds, 12)
  timers = withGeneration(GRAIL_V5_TIMERS, timers, 100)
  t.equal(timers.generationSeconds, 100)
  t.equal(withGeneration(forkTimers(), startTimers(), 100).generationSeconds, 40, 'the fork caps its first')
  t.end()
})

t.test('block time is sampled only when the number grows and time passes', t => {
  let timers = withBlock(startTimers(), 100, 1000)
  t.equal(timers.blockSeconds, 12)
  timers = withBlock(timers, 102, 1044)
  const after = timers.blockSeconds
  t.equal(after, 0.2 * 22 + (1 - 0.2) * 12)
  for (const [number, seconds] of [
    [102, 1050],
    [99, 1060],
    [103, 1060],
  ] as const) {
    timers = withBlock(timers, number, seconds)
    t.equal(timers.blockSeconds, after, `block ${number} is no sample`)
    t.same(timers.lastBlock, { number, seconds }, 'but the next one counts from it')
  }
  t.end()
})

import t from 'tap'
import {
  ABORT_BEFORE_MS,
  COMPLETE_BEFORE_MS,
  FIRST_TAIL_MS,
  lowerQuartile,
  mayClaim,
  median,
  nextMoment,
  p90,
  TAIL_MARGIN,
  TAIL_MARGIN_MS,
  TAIL_SAMPLES,
  tailOf,
  timersOf,
} from '../../src/window/deadline.js'

t.test('all timers are absolute and lie in their order before and after D', t => {
  const timers = timersOf(1_000_000, 8_000, 12_000)
  t.same(timers, {
    claimsCloseMs: 980_000,
    drainEndMs: 992_000,
    completeByMs: 997_000,
    abortAtMs: 999_000,
    deadlineMs: 1_000_000,
    verifyByMs: 1_015_000,
  })
  t.end()
})

t.test('the next moment is the first one that is still to come', t => {
  const timers = timersOf(1_000_000, 8_000, 12_000)
  const cases: [nowMs: number, next: number][] = [
    [0, timers.claimsCloseMs],
    [timers.claimsCloseMs, timers.drainEndMs],
    [timers.drainEndMs - 1, timers.drainEndMs],
    [timers.abortAtMs, timers.deadlineMs],
    [timers.verifyByMs, Number.POSITIVE_INFINITY],
  ]
  for (const [nowMs, next] of cases) t.equal(nextMoment(timers, nowMs), next, `at ${nowMs}`)
  t.end()
})

t.test('draining never reaches into the time the Complete call needs, however short the tail was measured', t => {
  const { drainEndMs, completeByMs } = timersOf(1_000_000, 0, 0)
  t.equal(drainEndMs, completeByMs)
  t.ok(COMPLETE_BEFORE_MS > ABORT_BEFORE_MS)
  t.end()
})

t.test('p90 is the nearest rank', t => {
  const cases: [number[], number | undefined][] = [
    [[], undefined],
    [[7], 7],
    [[1, 2], 2],
    [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 9],
    [Array.from({ length: 100 }, (_, i) => i + 1), 90],
  ]
  for (const [samples, expected] of cases) t.equal(p90(samples), expected, `${samples.length} samples`)
  t.end()
})

t.test('so are median and lower quartile: of two samples the quicker one', t => {
  const cases: [number[], median: number | undefined, quartile: number | undefined][] = [
    [[], undefined, undefined],
    [[7], 7, 7],
    [[2, 1], 1, 1],
    [[9, 1, 5], 5, 1],
    [[4, 3, 2, 1], 2, 1],
    [[8, 7, 6, 5, 4, 3, 2, 1], 4, 2],
  ]
  for (const [samples, half, quarter] of cases) {
    t.equal(median(samples), half, `${samples.length} samples`)
    t.equal(lowerQuartile(samples), quarter, `${samples.length} samples`)
  }
  t.end()
})

t.test('the tail is measured, with a margin that grows with it, and forgets windows that are long gone', t => {
  const long = FIRST_TAIL_MS * (1 + TAIL_MARGIN)
  t.ok(long > FIRST_TAIL_MS + TAIL_MARGIN_MS)
  t.equal(tailOf([]), long + COMPLETE_BEFORE_MS, 'nothing measured yet')
  t.equal(tailOf([8_000]), 8_000 * (1 + TAIL_MARGIN) + COMPLETE_BEFORE_MS)
  t.equal(tailOf([600]), 600 + TAIL_MARGIN_MS + COMPLETE_BEFORE_MS, 'a short one keeps the least margin')
  const old = [60_000, ...Array.from({ length: TAIL_SAMPLES }, () => 600)]
  t.equal(tailOf(old), tailOf([600]), 'a bad window falls out')
  t.end()
})

t.test('a claim is made only when its group could still be staged', t => {
  const drainEnd = 100_000
  const cases: [number, number | undefined, boolean][] = [
    [80_000, 20_000, true],
    [80_001, 20_000, false],
    [99_999, undefined, true],
    [100_001, undefined, false],
  ]
  for (const [now, group, may] of cases) t.equal(mayClaim(now, drainEnd, group), may, `at ${now}, p90 ${group}`)
  t.end()
})

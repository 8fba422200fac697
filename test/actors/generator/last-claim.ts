import t from 'tap'
import { claimNeedsMs, isMineable, lastClaimMs } from '../../../actors/generator/last-claim.js'
import { measurePace } from '../../../actors/generator/pace.js'
import type { HolePolicy } from '../../../src/window/holes.js'
import { named, windowOf } from './helpers/parts.js'

// Draining ends at 1,990,000.

function deskOf(holes: HolePolicy, groupsMs: readonly number[]) {
  const pace = measurePace()
  for (const ms of groupsMs) pace.finished(ms, 0)
  return { parts: { holes }, pace }
}

t.test('a group is claimed if it can be staged before draining ends, its turn at the engine waited for', t => {
  const window = windowOf(900, named(900))
  const desk = deskOf('keep', [8_000])
  const cases: [what: string, nowMs: number, waitMs: number, may: boolean][] = [
    ['there is time', 1_970_000, 0, true],
    ['just enough', 1_982_000, 0, true],
    ['not enough', 1_982_001, 0, false],
    ['not enough behind those in line', 1_975_000, 7_001, false],
    ['just enough behind those in line', 1_975_000, 7_000, true],
  ]
  for (const [what, nowMs, waitMs, may] of cases) t.equal(isMineable(desk, window, nowMs, waitMs), may, what)
  t.end()
})

t.test('where the file may have holes a group is begun that is done one time in four', t => {
  // A quarter took no longer than 6 s, p90 is 18 s.
  const groups = [2, 4, 6, 8, 10, 12, 14, 16, 18, 20].map(seconds => seconds * 1_000)
  const window = windowOf(900, named(900))
  const before = { ...window, next: named(901) }
  const cases: [what: string, holes: HolePolicy, of: typeof window, neededMs: number][] = [
    ['holes are kept', 'keep', window, 6_000],
    ['a hole cuts off the file', 'truncate', window, 18_000],
    ['other weights are to be loaded meanwhile', 'keep', before, 18_000],
  ]
  for (const [what, holes, of, neededMs] of cases) {
    const desk = deskOf(holes, groups)
    t.equal(lastClaimMs(desk, of), of.timers.drainEndMs - neededMs, what)
    t.equal(isMineable(desk, of, of.timers.drainEndMs - neededMs), true, `${what}: just then`)
    t.equal(isMineable(desk, of, of.timers.drainEndMs - neededMs + 1), false, `${what}: and not later`)
    if (of === window) t.equal(claimNeedsMs(desk), neededMs, `${what}: which its presence says`)
  }
  t.end()
})

t.test('what comes after the engine is left for it: a group that is begun is not given up at once', t => {
  const pace = measurePace()
  const groups: [ms: number, stagingMs: number][] = [
    [10, 5],
    [12, 6],
    [90, 80],
  ]
  for (const [ms, stagingMs] of groups) pace.finished(ms, stagingMs)
  const window = windowOf(900, named(900))
  const needed = window.timers.drainEndMs - lastClaimMs({ parts: { holes: 'keep' }, pace }, window)
  t.equal(pace.stagingMs(), 3 * 6, 'a slow spell of the broker is no measure: three medians at most')
  t.equal(needed, 5 + 18, 'the engine has the time that a quarter of its groups take')
  const steady = measurePace()
  for (const stagingMs of [5, 6, 7, 8]) steady.finished(100, stagingMs)
  t.equal(steady.stagingMs(), 8, 'else p90')
  t.end()
})

t.test("before its first group a generator goes by the fleet's p90, and its presence says nothing", t => {
  const window = windowOf(900, named(900))
  const { drainEndMs, claimsCloseMs } = window.timers
  for (const holes of ['keep', 'truncate'] as const) {
    const desk = deskOf(holes, [])
    t.equal(lastClaimMs(desk, window), claimsCloseMs, holes)
    t.ok(claimsCloseMs < drainEndMs)
    t.equal(claimNeedsMs(desk), undefined)
  }
  t.end()
})

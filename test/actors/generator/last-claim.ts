import t from 'tap'
import { isMineable } from '../../../actors/generator/last-claim.js'
import { measurePace } from '../../../actors/generator/pace.js'
import { named, windowOf } from './helpers/parts.js'

t.test('a group is claimed if it can be staged before draining ends, its turn at the engine waited for', t => {
  // Draining ends at 1,990,000; a group takes 8 s from its turn on.
  const window = windowOf(900, named(900))
  const pace = measurePace()
  pace.finished(8_000)
  const cases: [what: string, nowMs: number, waitMs: number, may: boolean][] = [
    ['there is time', 1_970_000, 0, true],
    ['just enough', 1_982_000, 0, true],
    ['not enough', 1_982_001, 0, false],
    ['not enough behind those in line', 1_975_000, 7_001, false],
    ['just enough behind those in line', 1_975_000, 7_000, true],
  ]
  for (const [what, nowMs, waitMs, may] of cases) t.equal(isMineable(window, pace, nowMs, waitMs), may, what)
  t.end()
})

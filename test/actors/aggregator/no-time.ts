import t from 'tap'
import { timersOf } from '../../../src/window/deadline.js'
import { natsServerAbsent } from '../../helpers/nats-server.js'
import { fileMaker, WEIGHTS } from './helpers/file-maker.js'

// What comes to the file so late that footer, last part and Complete would not be done in time stays out of it, with a reason.

/** D, and with it everything else: the clock is the test's. */
const DEADLINE_MS = 1_000_000
/** The upload is given up a second before. */
const GIVEN_UP_MS = DEADLINE_MS - 1_000

t.test('so much is left for the end of the file before the upload is given up', { skip: natsServerAbsent }, async t => {
  const make = await fileMaker(t)
  let number = 0
  /** Is a group in the file that is there at `nowMs`, of a window whose object was to be complete `tailMs` after draining? */
  async function isWritten(nowMs: number, tailMs: number, before: number[]): Promise<boolean> {
    let now = 0
    const timers = timersOf(DEADLINE_MS, 3_000 + tailMs, 0)
    const { indices, dropped } = await make({
      number: ++number,
      timers,
      clock: { now: () => now, sleep: async () => {} },
      journal: before.map(index => [index, WEIGHTS]),
      sealNow: () => now > 0,
      async meanwhile(stage) {
        await stage(7, WEIGHTS)
        now = nowMs
      },
    })
    t.same(dropped, indices.includes(7) ? {} : { 7: 'no-time' })
    t.same(
      indices.filter(index => index !== 7),
      before,
      'what was written before stays',
    )
    return indices.includes(7)
  }

  const cases: [what: string, tailMs: number, before: number[], leftMs: number][] = [
    ['a fast line: 1.5 s', 600, [0], 1_500],
    ['a slower one: the tail it needs', 2_500, [0], 2_500],
    ['a slow one: no more than 3.5 s', 9_000, [0], 3_500],
    ['nothing is written yet, by one that took over: whatever is left', 9_000, [], 1_500],
  ]
  for (const [what, tailMs, before, leftMs] of cases) {
    t.equal(await isWritten(GIVEN_UP_MS - leftMs, tailMs, before), true, what)
    t.equal(await isWritten(GIVEN_UP_MS - leftMs + 1, tailMs, before), false, `${what}, and not later`)
  }
})

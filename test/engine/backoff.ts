import t from 'tap'
import { restartWaitMs } from '../../src/engine/transformers/backoff.js'

const cases: [failures: number, least: number, most: number][] = [
  [0, 750, 1_250],
  [1, 1_500, 2_500],
  [4, 12_000, 20_000],
  [6, 45_000, 75_000],
  [1_000, 45_000, 75_000],
]
for (const [failures, least, most] of cases) {
  t.equal(restartWaitMs(failures, 0), least, `after ${failures} failures the wait is at least ${least} ms`)
  t.ok(restartWaitMs(failures, 0.999_999) <= most, `… and at most ${most} ms`)
  t.ok(restartWaitMs(failures, 0.9) > restartWaitMs(failures, 0.1), '… and differs from worker to worker')
}

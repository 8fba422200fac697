import t from 'tap'
import { inParallel } from '../../src/checkpoint/in-parallel.js'
import { patiently } from '../../src/checkpoint/patience.js'

const never = new AbortController().signal
const HOUR = 60 * 60_000

/** A clock that only waiting moves on, and the waits there were. */
function clock() {
  const waits: number[] = []
  return {
    waits,
    now: () => waits.reduce((sum, ms) => sum + ms, 0),
    random: () => 0.5,
    wait: async (ms: number) => void waits.push(ms),
  }
}

const saying = (next: string, retryAfterMs = 0) => Object.assign(new Error(`next: ${next}`), { next, retryAfterMs })

t.test('an error says whether the question is asked again', async t => {
  const cases: [title: string, error: Error, asked: number][] = [
    ['later', saying('later'), 3],
    ['unknown: reading twice is harmless', saying('unknown'), 3],
    ['never', saying('never'), 1],
    ['one that does not say', new Error('a slip of the program'), 1],
  ]
  for (const [title, error, asked] of cases) {
    let count = 0
    const ask = async () => {
      if (++count < 3) throw error
      return 'answer'
    }
    const answer = patiently(ask, never, HOUR, clock())
    if (asked === 1) await t.rejects(answer, error, title)
    else t.equal(await answer, 'answer', title)
    t.equal(count, asked, title)
  }
})

t.test('waits double up to a limit, heed the store’s wish, and end with patience', async t => {
  const pace = clock()
  const errors = [saying('later'), saying('later'), saying('later', 7_000)]
  const ask = async () => {
    throw errors.shift() ?? saying('later')
  }
  await t.rejects(patiently(ask, never, 60_000, pace), /next: later/)
  t.same(pace.waits, [250, 500, 7_000, 2_000, 4_000, 8_000, 8_000, 8_000, 8_000, 8_000])
})

t.test('a bucket that never answers is given up, and an abort is heard at once', async t => {
  const silent = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  await t.rejects(patiently(silent, never, 20, clock()), { code: 'unreachable', next: 'later' })
  const over = new AbortController()
  const asked = patiently(silent, over.signal, HOUR, clock())
  over.abort(new Error('shutdown'))
  await t.rejects(asked, /shutdown/)
  const waiting = patiently(() => Promise.reject(saying('later')), over.signal, HOUR, clock())
  await t.rejects(waiting, /shutdown/, 'also before it is asked')
})

t.test('items are done in order, so many at a time', async t => {
  let running = 0
  let most = 0
  const begun: number[] = []
  await inParallel([1, 2, 3, 4, 5, 6, 7], 3, never, async item => {
    begun.push(item)
    most = Math.max(most, ++running)
    await new Promise(resolve => setImmediate(resolve))
    running--
  })
  t.same(begun, [1, 2, 3, 4, 5, 6, 7])
  t.equal(most, 3)
  await inParallel([], 3, never, async () => void t.fail('nothing to do'))
})

t.test('the first that fails ends the others, and is told when all have ended', async t => {
  const first = new Error('first')
  let ended = 0
  const work = async (item: number, signal: AbortSignal) => {
    if (item === 2) throw first
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    ended++
    throw new Error('ended')
  }
  await t.rejects(inParallel([1, 2, 3, 4, 5], 3, never, work), first)
  t.equal(ended, 2)
})

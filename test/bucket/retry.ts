import t from 'tap'
import { BucketError } from '../../src/bucket/bucket.js'
import { type RetryBounds, waitMs, withRetry } from '../../src/bucket/retry.js'

const later = (retryAfterMs = 0) => new BucketError('server', 'not now', 'later', { retryAfterMs })
const throttled = new BucketError('throttled', 'slow down', 'later')
const unknown = new BucketError('timeout', 'no answer', 'unknown')
const never = new BucketError('access-denied', 'no', 'never')

/** Bounds on a clock that only waits move. */
function bounds(leftMs: number, signal = new AbortController().signal): RetryBounds & { waits: number[] } {
  let nowMs = 1_000_000
  const waits: number[] = []
  return {
    deadlineMs: nowMs + leftMs,
    now: () => nowMs,
    random: () => 0.5,
    signal,
    waits,
    wait: async ms => {
      waits.push(ms)
      nowMs += ms
    },
  }
}

/** An effect that throws these one after the other and then is done. */
function effect(...errors: Error[]) {
  let calls = 0
  const run = async () => {
    const error = errors[calls++]
    if (error) throw error
    return 'done'
  }
  return { run, calls: () => calls }
}

await t.test('what fails is tried again as its error says', async t => {
  const cases: [title: string, errors: Error[], waits: number[]][] = [
    ['nothing fails', [], []],
    ['waits double', [later(), later(), later()], [250, 500, 1_000]],
    ['waits have a limit', Array(8).fill(later()), [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]],
    ['a store that asks for less is given more time', [throttled, throttled], [2_000, 4_000]],
    ["the store's own wish counts when it is longer", [later(3_000), later(10)], [3_000, 500]],
    ['an unknown outcome is repeated when twice is harmless', [unknown], [250]],
  ]
  for (const [title, errors, waits] of cases) {
    const within = bounds(60_000)
    const { run, calls } = effect(...errors)
    t.equal(await withRetry(run, within), 'done', title)
    t.same(within.waits, waits, title)
    t.equal(calls(), errors.length + 1)
  }
})

await t.test("'never' and what is no error of a bucket are thrown at once", async t => {
  for (const error of [never, new TypeError('a bug')]) {
    const within = bounds(60_000)
    const { run, calls } = effect(error)
    await t.rejects(withRetry(run, within), error)
    t.equal(calls(), 1)
    t.same(within.waits, [])
  }
})

await t.test('no wait goes past the deadline', async t => {
  const within = bounds(1_000)
  const { run, calls } = effect(later(), later(), later())
  const error = await withRetry(run, within).catch(error => error)
  t.match(error, { code: 'deadline', next: 'never', message: /after 3 attempts: not now/, cause: { code: 'server' } })
  t.equal(calls(), 3)
  t.same(within.waits, [250, 500], 'a third wait of a second would end too late')
})

await t.test('after the deadline nothing is tried at all', async t => {
  const { run, calls } = effect()
  await t.rejects(withRetry(run, bounds(0)), { code: 'deadline', next: 'never' })
  t.equal(calls(), 0)
})

await t.test('a lost answer followed by the deadline leaves the outcome unknown', async t => {
  const { run } = effect(unknown, later(), later())
  await t.rejects(withRetry(run, bounds(600)), { code: 'deadline', next: 'unknown' })
})

await t.test('an attempt is ended by the deadline, and may have been carried out', async t => {
  const hangs = (signal: AbortSignal) =>
    new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
    )
  const error = await withRetry(hangs, bounds(1)).catch(error => error)
  t.match(error, { code: 'deadline', next: 'unknown' })
})

await t.test('after an unknown outcome one looks first', async t => {
  await t.test('found: it is not repeated', async t => {
    const { run, calls } = effect(unknown)
    t.equal(await withRetry(run, bounds(60_000), async () => 'found'), 'found')
    t.equal(calls(), 1)
  })
  await t.test('not found: it is repeated', async t => {
    const { run, calls } = effect(unknown)
    t.equal(await withRetry(run, bounds(60_000), async () => undefined), 'done')
    t.equal(calls(), 2)
  })
  await t.test('a look that fails is repeated, the effect is not', async t => {
    const { run, calls } = effect(unknown)
    const look = effect(later(), unknown)
    t.equal(await withRetry(run, bounds(60_000), look.run), 'done')
    t.equal(look.calls(), 3)
    t.equal(calls(), 1)
  })
  await t.test('nobody looks after a plain failure', async t => {
    const { run } = effect(later())
    t.equal(
      await withRetry(run, bounds(60_000), async () => {
        t.fail('looked')
        return undefined
      }),
      'done',
    )
  })
})

await t.test('the signal ends attempts and waits with its reason', async t => {
  const over = new AbortController()
  const reason = new Error('the window is over')
  const within: RetryBounds = { deadlineMs: Date.now() + 60_000, now: Date.now, random: () => 0, signal: over.signal }
  const waiting = withRetry(async () => {
    queueMicrotask(() => setImmediate(() => over.abort(reason)))
    throw later(30_000)
  }, within)
  await t.rejects(waiting, reason)
  await t.rejects(withRetry(effect().run, within), reason)
})

await t.test('waits are spread by a quarter up and down', async t => {
  t.equal(waitMs(1, later(), 0), 188)
  t.equal(waitMs(1, later(), 0.999_999), 312)
  t.equal(waitMs(1, throttled, 0), 1_500)
})

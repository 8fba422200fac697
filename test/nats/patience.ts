import t from 'tap'
import { BrokerError } from '../../nats/index.js'
import { persist, untilAborted } from '../../nats/patience.js'

const late = () => new BrokerError('timeout', 'late')
const forever = new AbortController().signal

/** An attempt that fails with these errors, one after the other, and then succeeds. */
function failing(...errors: Error[]) {
  const attempts: number[] = []
  const attempt = async (timeoutMs: number) => {
    attempts.push(timeoutMs)
    const error = errors.shift()
    if (error) throw error
    return 'done'
  }
  return { attempts, attempt }
}

await t.test('what can succeed is tried again', async t => {
  const { attempts, attempt } = failing(late(), late())
  t.equal(await persist('try', attempt, { signal: forever, attemptMs: 70 }), 'done')
  t.same(attempts, [70, 70, 70])
})

await t.test('what cannot succeed is not', async t => {
  const { attempts, attempt } = failing(new BrokerError('sealed', 'closed'))
  await t.rejects(persist('try', attempt, { signal: forever }), { code: 'sealed' })
  t.equal(attempts.length, 1)
})

await t.test('an unknown error is not tried again', async t => {
  const { attempts, attempt } = failing(new TypeError('a mistake'))
  await t.rejects(persist('try', attempt, { signal: forever }), { code: 'unknown', message: 'try: a mistake' })
  t.equal(attempts.length, 1)
})

await t.test('patience ends with the last error', async t => {
  const { attempts, attempt } = failing(...Array.from({ length: 1_000 }, late))
  await t.rejects(persist('try', attempt, { signal: forever, giveUpAfterMs: 400 }), { code: 'timeout' })
  t.ok(attempts.length >= 2 && attempts.length <= 9, `${attempts.length} attempts`)
})

await t.test('without patience there is one attempt', async t => {
  const { attempts, attempt } = failing(late())
  await t.rejects(persist('try', attempt, { signal: forever, giveUpAfterMs: 0 }), { code: 'timeout' })
  t.equal(attempts.length, 1)
})

await t.test('an error that names a time is waited for, if there is as much left', async t => {
  const { attempts, attempt } = failing(new BrokerError('busy', 'soon', { retryAfterMs: 60_000 }))
  await t.rejects(persist('try', attempt, { signal: forever, giveUpAfterMs: 1_000 }), { code: 'busy' })
  t.equal(attempts.length, 1)
})

await t.test('the signal ends it between attempts and within one', async t => {
  const stop = new AbortController()
  const between = persist('try', failing(...Array.from({ length: 1_000 }, late)).attempt, { signal: stop.signal })
  const within = untilAborted(new Promise(() => {}), stop.signal)
  stop.abort(new Error('enough'))
  await t.rejects(between, { message: 'enough' })
  await t.rejects(within, { message: 'enough' })
  await t.rejects(untilAborted(Promise.reject(late()), stop.signal), { message: 'enough' })
})

await t.test('a signal may be waited for by any number at once', async t => {
  const warnings: string[] = []
  const warned = (warning: Error) => void warnings.push(warning.name)
  process.on('warning', warned)
  t.teardown(() => void process.off('warning', warned))
  const stop = new AbortController()
  const waiting = Array.from({ length: 100 }, () => untilAborted(new Promise(() => {}), stop.signal).catch(() => {}))
  stop.abort()
  await Promise.all(waiting)
  await new Promise(resolve => setImmediate(resolve))
  t.same(warnings, [])
})

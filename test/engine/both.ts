import t from 'tap'
import { EngineError } from '../../src/engine/engine.js'
import { bothOrNone } from '../../src/engine/server/both.js'

const never = new AbortController().signal
/** Ends only with its signal. */
const endless = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))

t.test('two loads of which neither is worth anything alone', async t => {
  t.equal(
    await bothOrNone(
      async () => 'facts',
      async () => 'served',
      never,
    ),
    'facts',
    'give what the first one gives',
  )
  const wrong = new EngineError('wrong weights', 'never')
  const fails = () => Promise.reject(wrong)
  await t.rejects(bothOrNone(fails, endless, never), wrong, 'the first one fails: the second is given up')
  await t.rejects(bothOrNone(endless, fails, never), wrong, '… and the other way round, with its own reason')
  await t.rejects(
    bothOrNone(endless, () => Promise.reject(new Error('disk')), never),
    { name: 'EngineError', next: 'later', message: 'disk' },
    'what is no EngineError may pass',
  )
  const sore = (signal: AbortSignal) =>
    endless(signal).catch(() => Promise.reject(new EngineError('it went away', 'never')))
  await t.rejects(
    bothOrNone(sore, fails, never),
    wrong,
    'the one that is given up says something else: nobody hears it',
  )
  const stopped = new AbortController()
  const both = bothOrNone(endless, endless, stopped.signal)
  stopped.abort(new Error('shutting down'))
  await t.rejects(both, /shutting down/, 'nobody waits any more: its reason')
})

import t from 'tap'
import { type Asked, answer, ask, question } from '../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../helpers/nats-server.js'

const whole = (value: unknown): number => {
  if (!Number.isInteger(value)) throw new Error('not a whole number')
  return value as number
}
const double = question('math.{place}.double', { parse: whole, parseAnswer: whole })

await t.test('asking', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const [here, there] = [await brokerOf(t, server), await brokerOf(t, server)]
  const signal = inTime()
  const put = (place: string, n: number, timeoutMs = 2_000): Promise<Asked<number>> =>
    ask(here, double, { place }, n, { signal, timeoutMs })

  await t.test('gets the answer', async t => {
    await answer(there, double, n => 2 * n, { signal, only: { place: 'a' } })
    t.same(await put('a', 21), { type: 'answer', answer: 42 })
  })

  await t.test('tells whom it was asked of', async t => {
    const places: string[] = []
    const listen = (n: number, { place }: { place: string }) => {
      places.push(place)
      return n
    }
    await answer(there, double, listen, { signal, only: { place: 'told' } })
    await put('told', 1)
    t.same(places, ['told'])
  })

  await t.test('where nobody listens is told as that, at once', async t => {
    t.same(await put('nobody', 1), { type: 'no-responders' })
  })

  await t.test('one who does not answer in time is told as that', async t => {
    await answer(there, double, () => new Promise<number>(() => {}), { signal, only: { place: 'slow' } })
    t.same(await put('slow', 1, 50), { type: 'timeout' })
  })

  await t.test('one who cannot answer gives their reason', async t => {
    const refuse = () => {
      throw new Error('no numbers today')
    }
    await answer(there, double, refuse, { signal, only: { place: 'closed' } })
    t.same(await put('closed', 1), { type: 'refused', why: 'no numbers today' })
  })

  await t.test('what cannot be read is refused, and the answerer goes on', async t => {
    const msg = await here.nc.request('math.a.double', new TextEncoder().encode('"two"'))
    t.match(new TextDecoder().decode(msg.data), /not a whole number/)
    t.same(await put('a', 4), { type: 'answer', answer: 8 })
  })

  await t.test('an answer that is none is an error', async t => {
    await answer(there, double, () => 0.5, { signal, only: { place: 'half' } })
    await t.rejects(put('half', 1), { code: 'payload', next: 'never' })
  })

  await t.test('answerers of one queue share the questions', async t => {
    let answered = 0
    const count = (n: number) => {
      answered++
      return n
    }
    for (const by of [here, there]) await answer(by, double, count, { signal, only: { place: 'q' }, queue: 'q' })
    for (let n = 0; n < 10; n++) await put('q', n)
    t.equal(answered, 10)
  })

  await t.test('an answerer that stopped is nobody', async t => {
    const stop = new AbortController()
    await answer(there, double, n => n, { signal: stop.signal, only: { place: 'gone' } })
    t.same(await put('gone', 1), { type: 'answer', answer: 1 })
    stop.abort()
    await there.nc.flush()
    t.same(await put('gone', 1), { type: 'no-responders' })
  })

  await t.test('works again after a kill of the broker', async t => {
    await server.kill()
    t.match(await put('a', 1, 100), { type: 'timeout' })
    const waiting = put('a', 5, 10_000)
    await server.restart()
    // Whoever asks may be back before whoever answers.
    let asked = await waiting
    while (asked.type === 'no-responders') asked = await put('a', 5)
    t.same(asked, { type: 'answer', answer: 10 })
  })
})

import t from 'tap'
import {
  announce,
  type Broker,
  dropStream,
  ensure,
  fold,
  journal,
  lastOf,
  message,
  messageAt,
  subjects,
} from '../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats, until } from '../helpers/nats-server.js'

const said = message('fold.{place}.{n:int}', {
  parse: value => value as { n: number },
  id: (_, { place, n }) => `${place}.${n}`,
})

await t.test('the fold', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  const signal = inTime()

  const say = (place: string, n: number, by: Broker = broker) => announce(by, said, { place, n }, { n }, { signal })

  /** Folds until `enough` events came, and gives their n. */
  async function collect(stream: string, filter: string, enough: number, from = 1): Promise<number[]> {
    const seen: number[] = []
    const stop = new AbortController()
    const reading = fold(broker, stream, filter, {
      signal: AbortSignal.any([stop.signal, signal]),
      from,
      onEvent: (_, bytes) => {
        seen.push(said.decode(bytes).n)
        if (seen.length === enough) stop.abort()
      },
    })
    await reading.done
    return seen
  }

  await ensure(broker, [journal('FOLD', ['fold.a.>', 'fold.b.>'])], { signal })
  for (let n = 1; n <= 700; n++) await say(n % 7 === 0 ? 'b' : 'a', n)
  const everything = Array.from({ length: 700 }, (_, i) => i + 1)

  await t.test('gives everything from the start, in order, over several pages', async t => {
    t.same(await collect('FOLD', 'fold.>', 700), everything)
  })

  await t.test('gives one subject alone when asked', async t => {
    t.same(
      await collect('FOLD', 'fold.b.*', 100),
      everything.filter(n => n % 7 === 0),
    )
  })

  await t.test('begins at a sequence when asked', async t => {
    t.same(await collect('FOLD', 'fold.>', 3, 698), [698, 699, 700])
  })

  await t.test('asks again on the same consumer where a request was dropped, on another one after two', async t => {
    for (const [dropped, consumers] of [
      [0, 1],
      [1, 1],
      [2, 2],
    ] as const) {
      const { forgetful, published } = forgetting(broker, dropped)
      const stop = new AbortController()
      const seen: number[] = []
      const reading = fold(forgetful, 'FOLD', 'fold.a.*', {
        signal: AbortSignal.any([stop.signal, signal]),
        from: 699,
        onEvent: (_, bytes) => {
          seen.push(said.decode(bytes).n)
          stop.abort()
        },
      })
      await reading.done
      t.same(seen, [699], `${dropped} dropped: what is there comes`)
      const made = published.filter(subject => subject.startsWith('$JS.API.CONSUMER.CREATE.'))
      t.equal(made.length, consumers, `by ${consumers} consumer`)
    }
  })

  await t.test('says when it has caught up with what was there, and goes on with what comes', async t => {
    const seen: number[] = []
    const stop = new AbortController()
    const reading = fold(broker, 'FOLD', 'fold.b.*', {
      signal: stop.signal,
      onEvent: (_, bytes) => void seen.push(said.decode(bytes).n),
    })
    await reading.caughtUp
    t.equal(seen.length, 100)
    await say('a', 701)
    await say('b', 702)
    await until('the new event came', () => seen.length === 101 || undefined)
    t.equal(seen.at(-1), 702)
    stop.abort()
    await reading.done
  })

  await t.test('of an empty stream has caught up at once', async t => {
    await ensure(broker, [journal('EMPTY', ['empty.>'])], { signal })
    const stop = new AbortController()
    const reading = fold(broker, 'EMPTY', 'empty.>', {
      signal: stop.signal,
      onEvent: () => void t.fail('there is nothing'),
    })
    await reading.caughtUp
    stop.abort()
    await reading.done
  })

  await t.test("tells sequence, the server's time and the message id of each event", async t => {
    const stop = new AbortController()
    await fold(broker, 'FOLD', 'fold.a.1', {
      signal: stop.signal,
      onEvent: async (subject, bytes, meta) => {
        const kept = await messageAt(broker, 'FOLD', 1, { signal })
        t.equal(subject, 'fold.a.1')
        t.same(said.decode(bytes), { n: 1 })
        t.match(meta, { seq: 1, msgId: 'a.1', timeMs: kept?.timeMs })
        stop.abort()
      },
    }).done
  })

  await t.test('gives the next event when the one before is done', async t => {
    const stop = new AbortController()
    let inside = 0
    let seen = 0
    await fold(broker, 'FOLD', 'fold.>', {
      signal: stop.signal,
      onEvent: async () => {
        t.equal(++inside, 1)
        await new Promise(resolve => setImmediate(resolve))
        inside--
        if (++seen === 20) stop.abort()
      },
    }).done
  })

  await t.test('ends with what its handler throws', async t => {
    const reading = fold(broker, 'FOLD', 'fold.>', {
      signal,
      onEvent: () => {
        throw new Error('cannot be')
      },
    })
    await t.rejects(reading.done, { message: 'cannot be' })
    await t.rejects(reading.caughtUp, { message: 'cannot be' })
  })

  await t.test('of a stream that does not exist fails by name', async t => {
    const reading = fold(broker, 'NEVER', '>', { signal, onEvent: () => {} })
    await t.rejects(reading.done, { code: 'not-found', message: /NEVER/ })
    await t.rejects(reading.caughtUp, { code: 'not-found' })
  })

  await t.test('leaves no consumer behind', async t => {
    await until(
      'all readers are gone',
      async () => (await broker.jsm.streams.info('FOLD')).state.consumer_count === 0 || undefined,
    )
    t.pass()
  })

  await t.test('goes on through kills of the broker: each event once, in order', async t => {
    await ensure(broker, [journal('KILLED', ['fold.k.>'])], { signal })
    const writer = await brokerOf(t, server)
    const reading = collect('KILLED', 'fold.k.*', 300)
    for (let n = 1; n <= 300; n++) {
      if (n === 100) await server.kill().then(() => server.restart())
      if (n === 200) void server.kill().then(() => server.restart())
      await say('k', n, writer)
    }
    t.same(await reading, everything.slice(0, 300))
  })

  await t.test('goes on after the broker was frozen', async t => {
    await ensure(broker, [journal('FROZEN', ['fold.f.>'])], { signal })
    const reading = collect('FROZEN', 'fold.f.*', 40)
    for (let n = 1; n <= 20; n++) await say('f', n)
    server.pause()
    const waiting = say('f', 21)
    server.resume()
    await waiting
    for (let n = 22; n <= 40; n++) await say('f', n)
    t.same(await reading, everything.slice(0, 40))
  })

  await t.test('goes on when its consumer is deleted under it', async t => {
    await ensure(broker, [journal('ROBBED', ['fold.r.>'])], { signal })
    const reading = collect('ROBBED', 'fold.r.*', 20)
    for (let n = 1; n <= 10; n++) await say('r', n)
    const [consumer] = await until('it reads', async () => {
      const found = await broker.jsm.consumers.list('ROBBED').next()
      return found.length > 0 ? found : undefined
    })
    await broker.jsm.consumers.delete('ROBBED', consumer!.name)
    for (let n = 11; n <= 20; n++) await say('r', n)
    t.same(await reading, everything.slice(0, 20))
  })

  await t.test('ends when its stream is deleted', async t => {
    await ensure(broker, [journal('DELETED', ['fold.deleted.>'])], { signal })
    const reading = fold(broker, 'DELETED', 'fold.deleted.*', { signal, onEvent: () => {} })
    await reading.caughtUp
    await dropStream(broker, 'DELETED', { signal })
    await t.rejects(reading.done, { code: 'not-found', message: /DELETED/ })
  })

  await t.test('ends when its stream was deleted and made again: what it knows is void', async t => {
    const wanted = journal('AGAIN', ['fold.again.>'])
    await ensure(broker, [wanted], { signal })
    await say('again', 1)
    const reading = fold(broker, 'AGAIN', 'fold.again.*', {
      signal,
      // Both happen while it is busy, so that it sees the new stream without having missed the old one.
      onEvent: async () => {
        await dropStream(broker, 'AGAIN', { signal })
        await ensure(broker, [wanted], { signal })
      },
    })
    await t.rejects(reading.done, { code: 'replaced', next: 'never' })
  })

  await t.test('ends when the connection is closed for good', async t => {
    const closing = await brokerOf(t, server)
    const reading = fold(closing, 'FOLD', 'fold.>', { signal, onEvent: () => {} })
    await reading.caughtUp
    await closing.drain()
    await t.rejects(reading.done, { code: 'closed' })
  })
})

await t.test('reading a stream', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  const signal = inTime()
  const wanted = journal('READ', ['fold.>'])
  const indirect = { ...journal('INDIRECT', ['indirect.>']), name: 'INDIRECT' }
  await ensure(broker, [wanted, { ...indirect, settings: { ...indirect.settings, allow_direct: false } }], { signal })
  for (const place of ['a', 'b', 'a'])
    await announce(broker, said, { place, n: 1 }, { n: 1 }, { signal, headers: { Place: place } })

  await t.test('gives the last message of a subject, or nothing', async t => {
    t.match(await lastOf(broker, 'READ', 'fold.b.1', { signal }), { subject: 'fold.b.1', seq: 2, msgId: 'b.1' })
    t.equal(await lastOf(broker, 'READ', 'fold.c.1', { signal }), undefined)
  })

  await t.test('gives the message of a sequence, or nothing', async t => {
    t.match(await messageAt(broker, 'READ', 1, { signal }), { subject: 'fold.a.1', seq: 1 })
    t.equal(await messageAt(broker, 'READ', 99, { signal }), undefined)
  })

  await t.test('works where direct reading is switched off', async t => {
    broker.nc.publish('indirect.x', new TextEncoder().encode('hello'))
    const kept = await until('it is stored', () => lastOf(broker, 'INDIRECT', 'indirect.x', { signal }))
    t.equal(new TextDecoder().decode(kept.bytes), 'hello')
    t.ok(Math.abs(kept.timeMs - Date.now()) < 60_000)
  })

  await t.test('of a stream that does not exist fails by name', async t => {
    await t.rejects(lastOf(broker, 'NEVER', 'x', { signal }), { code: 'not-found', message: /NEVER/ })
    await t.rejects(subjects(broker, 'NEVER', '>', { signal }), { code: 'not-found' })
  })

  await t.test('lists subjects and their counts without making a consumer', async t => {
    t.same(
      await subjects(broker, 'READ', 'fold.>', { signal }),
      new Map([
        ['fold.a.1', 1],
        ['fold.b.1', 1],
      ]),
    )
    t.same(await subjects(broker, 'READ', 'fold.c.*', { signal }), new Map())
    t.equal((await broker.jsm.streams.info('READ')).state.consumer_count, 0)
  })
})

/** The broker, but for the first requests for messages, which nobody gets; and the subjects of all that was published. */
function forgetting(broker: Broker, requests: number): { forgetful: Broker; published: string[] } {
  const published: string[] = []
  let left = requests
  const nc = new Proxy(broker.nc, {
    get(target, name) {
      if (name !== 'publish') return Reflect.get(target, name, target)
      return (...args: Parameters<typeof target.publish>) => {
        published.push(args[0])
        if (args[0].startsWith('$JS.API.CONSUMER.MSG.NEXT.') && left-- > 0) return
        target.publish(...args)
      }
    },
  })
  return { forgetful: Object.create(broker, { nc: { value: nc } }) as Broker, published }
}

import t from 'tap'
import { announce, ensure, journal, lastOf, message, messageAt, tell } from '../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../helpers/nats-server.js'

const opened = message('pub.{window:int}.opened', {
  parse: value => value as { block: number },
  id: (payload, { window }) => `${window}.opened.${payload.block}`,
})
const progress = message('live.{window:int}', { parse: value => value as { percent: number } })

await t.test('announcing', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  const signal = inTime()
  await ensure(broker, [journal('PUB', ['pub.>'])], { signal })

  await t.test('stores a message, and the same one again only once', async t => {
    const first = await announce(broker, opened, { window: 30 }, { block: 30 }, { signal })
    t.same(first, { stream: 'PUB', seq: 1, duplicate: false })
    const again = await announce(broker, opened, { window: 30 }, { block: 30 }, { signal })
    t.same(again, { stream: 'PUB', seq: 1, duplicate: true })
    const other = await announce(broker, opened, { window: 60 }, { block: 60 }, { signal })
    t.same(other, { stream: 'PUB', seq: 2, duplicate: false })
  })

  await t.test('stores JSON that an operator can read, under its id', async t => {
    const kept = await messageAt(broker, 'PUB', 1, { signal })
    t.match(kept, { subject: 'pub.30.opened', seq: 1, msgId: '30.opened.30' })
    t.equal(new TextDecoder().decode(kept?.bytes), '{"block":30}')
    t.same(opened.decode(kept!.bytes), { block: 30 })
    t.same(opened.holes(kept!.subject), { window: 30 })
  })

  await t.test('keeps the headers given along', async t => {
    await announce(broker, opened, { window: 90 }, { block: 90 }, { signal, headers: { Epoch: '2' } })
    const kept = await lastOf(broker, 'PUB', 'pub.90.opened', { signal })
    t.equal(kept?.headers?.get('Epoch'), '2')
  })

  await t.test('goes on through a kill of the broker and stores each message once, in order', async t => {
    const windows = Array.from({ length: 60 }, (_, i) => 1_000 + i)
    let restarted: Promise<void> = Promise.resolve()
    const seqs: number[] = []
    for (const window of windows) {
      if (window === 1_020 || window === 1_040) {
        await restarted
        restarted = server.kill().then(() => server.restart())
      }
      seqs.push((await announce(broker, opened, { window }, { block: window }, { signal })).seq)
    }
    await restarted
    t.same(
      seqs,
      windows.map((_, i) => seqs[0]! + i),
    )
    const repeated = await announce(broker, opened, { window: 1_020 }, { block: 1_020 }, { signal })
    t.match(repeated, { duplicate: true, seq: seqs[20] }, 'the id is known after the restart too')
  })

  await t.test('to a subject no stream keeps fails, saying that nobody answers', async t => {
    const lost = message('nowhere.{n:int}', { parse: value => value as number, id: n => String(n) })
    await t.rejects(announce(broker, lost, { n: 1 }, 1, { signal, giveUpAfterMs: 0 }), {
      code: 'no-responders',
      next: 'later',
      message: /announce nowhere\.1/,
    })
  })

  await t.test('to another stream than the expected one is refused', async t => {
    const options = { signal, expectStream: 'OTHER' }
    await t.rejects(announce(broker, opened, { window: 1 }, { block: 1 }, options), {
      code: 'other-stream',
      next: 'never',
    })
  })

  await t.test('something larger than the broker takes is refused', async t => {
    const big = message('pub.big.{n:int}', { parse: value => value as string, id: () => 'big' })
    await t.rejects(announce(broker, big, { n: 1 }, 'x'.repeat(9_000_000), { signal }), {
      code: 'max-payload',
      next: 'never',
    })
  })

  await t.test('a full stream asks for patience', async t => {
    const small = message('small.{n:int}', { parse: value => value as string, id: (_, { n }) => String(n) })
    const wanted = journal('SMALL', ['small.>'], { maxBytes: 2_000 })
    await ensure(broker, [{ ...wanted, settings: { ...wanted.settings, discard: 'new' } }], { signal })
    await announce(broker, small, { n: 1 }, 'x'.repeat(1_500), { signal })
    await t.rejects(announce(broker, small, { n: 2 }, 'x'.repeat(1_500), { signal, giveUpAfterMs: 0 }), {
      code: 'stream-full',
      next: 'later',
    })
  })
})

await t.test('telling reaches whoever listens, and nobody else', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const [here, there] = [await brokerOf(t, server), await brokerOf(t, server)]
  tell(here, progress, { window: 30 }, { percent: 10 })
  await here.nc.flush()
  const heard = there.nc.subscribe(progress.wildcard, { max: 1 })
  await there.nc.flush()
  tell(here, progress, { window: 30 }, { percent: 20 })
  for await (const msg of heard) {
    t.same(progress.decode(msg.data), { percent: 20 })
    t.same(progress.holes(msg.subject), { window: 30 })
  }
  await here.drain()
  t.doesNotThrow(
    () => tell(here, progress, { window: 30 }, { percent: 30 }),
    'telling over a closed connection is lost, not an error',
  )
})

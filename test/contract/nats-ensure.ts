import t from 'tap'
import { type Drift, ensure, journal, kvBucket, objectStore, type WantedStream, workQueue } from '../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../helpers/nats-server.js'

const events = journal('EVENTS', ['ev.>'], { maxAgeMs: 3_600_000 })
const queue = workQueue('QUEUE', ['q.>'], { name: 'workers', ackWaitMs: 30_000 })
const fleet = kvBucket('FLEET', { maxAgeMs: 5_000 })
const config = kvBucket('CONFIG', { history: 5 })
const blobs = objectStore('BLOBS', { maxAgeMs: 3_600_000, maxBytes: 1_000_000_000 })
const all = [events, queue, fleet, config, blobs]

const withSettings = (wanted: WantedStream, settings: Partial<WantedStream['settings']>): WantedStream => ({
  ...wanted,
  settings: { ...wanted.settings, ...settings },
})

await t.test('what is wanted of a broker', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  const signal = inTime()

  await t.test('is made where it is absent', async t => {
    const ensured = await ensure(broker, all, { signal })
    t.same(ensured, {
      created: ['EVENTS', 'QUEUE', 'QUEUE > workers', 'KV_FLEET', 'KV_CONFIG', 'OBJ_BLOBS'],
      drift: [],
    })
  })

  await t.test('is made once when several want it at the same moment', async t => {
    const brokers = await Promise.all(Array.from({ length: 12 }, () => brokerOf(t, server)))
    // One in some hundred such moments the server tells one of them that the stream's subjects are taken.
    for (let moment = 0; moment < 100; moment++) {
      const wanted = [
        journal(`RUSH${moment}`, [`rush.${moment}.>`]),
        objectStore(`RUSH${moment}`, { maxAgeMs: 5_000, maxBytes: 1_000_000 }),
        workQueue(`RUSHQ${moment}`, [`rushq.${moment}.>`], { name: 'w', ackWaitMs: 5_000 }),
      ]
      const ensured = await Promise.all(brokers.map(by => ensure(by, wanted, { signal })))
      t.same(
        ensured.flatMap(({ drift }) => drift),
        [],
      )
      for (const { name } of wanted) await broker.jsm.streams.delete(name)
    }
  })

  await t.test('is left alone where it is there, and no difference is reported', async t => {
    const before = await broker.jsm.streams.info('EVENTS')
    t.same(await ensure(broker, all, { signal, repair: true }), { created: [], drift: [] })
    t.equal((await broker.jsm.streams.info('EVENTS')).created, before.created)
  })

  const cases: { title: string; wanted: WantedStream; drift: Drift }[] = [
    {
      title: 'another life of messages can be repaired',
      wanted: withSettings(events, { max_age: 7_200e9 }),
      drift: { name: 'EVENTS', field: 'max_age', wanted: 7_200e9, actual: 3_600e9, outcome: 'repaired' },
    },
    {
      title: 'other subjects can be repaired',
      wanted: withSettings(withSettings(events, { max_age: 7_200e9 }), { subjects: ['ev.>', 'more.>'] }),
      drift: { name: 'EVENTS', field: 'subjects', wanted: ['ev.>', 'more.>'], actual: ['ev.>'], outcome: 'repaired' },
    },
    {
      title: 'a limit of bytes can be repaired',
      wanted: withSettings(blobs, { max_bytes: 2_000_000_000 }),
      drift: { name: 'OBJ_BLOBS', field: 'max_bytes', wanted: 2e9, actual: 1e9, outcome: 'repaired' },
    },
    {
      title: "a consumer's ack wait can be repaired",
      wanted: workQueue('QUEUE', ['q.>'], { name: 'workers', ackWaitMs: 10_000 }),
      drift: { name: 'QUEUE > workers', field: 'ack_wait', wanted: 10e9, actual: 30e9, outcome: 'repaired' },
    },
    {
      title: 'storage cannot be changed',
      wanted: withSettings(fleet, { storage: 'memory' }),
      drift: { name: 'KV_FLEET', field: 'storage', wanted: 'memory', actual: 'file', outcome: 'cannot be changed' },
    },
    {
      title: 'retention cannot be changed',
      wanted: { ...withSettings(queue, { retention: 'limits' }), consumers: [] },
      drift: { name: 'QUEUE', field: 'retention', wanted: 'limits', actual: 'workqueue', outcome: 'cannot be changed' },
    },
  ]
  for (const { title, wanted, drift } of cases) {
    await t.test(title, async t => {
      const repairable = drift.outcome === 'repaired'
      const reported = await ensure(broker, [wanted], { signal })
      t.same(
        reported.drift,
        [{ ...drift, outcome: repairable ? 'not repaired' : drift.outcome }],
        'reported, not touched',
      )
      t.same((await ensure(broker, [wanted], { signal, repair: true })).drift, [drift])
      const after = await ensure(broker, [wanted], { signal })
      t.same(after.drift, repairable ? [] : [drift])
    })
  }

  await t.test('nothing that is not wanted is deleted', async t => {
    await broker.jsm.streams.add({ name: 'STRANGER', subjects: ['stranger'] })
    await ensure(broker, all, { signal, repair: true })
    t.equal((await broker.jsm.streams.info('STRANGER')).config.name, 'STRANGER')
  })

  await t.test('a stream whose subjects another one has is refused', async t => {
    await t.rejects(ensure(broker, [journal('THIEF', ['ev.x.>'])], { signal }), {
      next: 'never',
      message: /STREAM.CREATE.THIEF/,
    })
  })

  await t.test('more copies than servers are refused', async t => {
    await t.rejects(ensure(broker, [journal('COPIES', ['copies'], { replicas: 3 })], { signal }), {
      code: 'invalid',
      message: /replicas > 1 not supported/,
    })
  })

  await t.test('the library takes our buckets for its own', async t => {
    const kv = await broker.js.views.kv('CONFIG', { bindOnly: true })
    await kv.put('policy', 'one')
    await kv.put('policy', 'two')
    t.equal((await kv.get('policy'))?.string(), 'two')
    t.equal((await kv.status()).history, 5)
    t.equal((await broker.js.views.os('BLOBS')).constructor.name, 'ObjectStoreImpl')
  })

  await t.test('a name that cannot be one is refused', async t => {
    t.throws(() => kvBucket('a.b'), { message: "'a.b' cannot name a bucket: letters, digits, - and _ only" })
    t.throws(() => objectStore('a b'), { message: /'a b' cannot name a bucket/ })
  })
})

import { createHash } from 'node:crypto'
import t from 'tap'
import { type Broker, ensureStore, openStore, type Store } from '../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../helpers/nats-server.js'

/** Nothing, less than a chunk, a whole chunk, a chunk and a byte, a large part. */
const SIZES = [0, 1, 200_000, 1_048_576, 1_048_577, 9_000_000]

/** Bytes that differ everywhere, the same for the same seed. */
function bytesOf(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size)
  let x = seed
  for (let i = 0; i < size; i++) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0
    bytes[i] = x >>> 16
  }
  return bytes
}

const hex = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

await t.test('the object store', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  const signal = inTime()
  const store = await ensureStore(broker, 'BLOBS', { signal, maxAgeMs: 3_600_000 })
  const consumers = async () => (await broker.jsm.streams.info('OBJ_BLOBS')).state.consumer_count

  for (const size of SIZES) {
    await t.test(`gives back ${size} bytes as they were put`, async t => {
      const bytes = bytesOf(size)
      const stored = await store.put(`sizes/${size}`, bytes, { signal })
      t.same(stored, { name: `sizes/${size}`, bytes: size, sha256: hex(bytes), already: false })
      const back = await store.get(`sizes/${size}`, { signal })
      t.ok(Buffer.from(bytes).equals(back))
    })

    await t.test(`gives ${size} bytes to the library, and takes them from it`, async t => {
      const theirs = await broker.js.views.os('BLOBS')
      const read = await theirs.getBlob(`sizes/${size}`)
      t.equal(hex(read ?? new Uint8Array([1, 2, 3])), hex(bytesOf(size)))
      t.match(await theirs.info(`sizes/${size}`), { size, bucket: 'BLOBS', deleted: false })
      await theirs.putBlob({ name: `theirs/${size}` }, bytesOf(size, 2))
      t.equal(hex(await store.get(`theirs/${size}`, { signal })), hex(bytesOf(size, 2)))
    })
  }

  await t.test('lists names by their beginning, as the library does', async t => {
    t.same(
      await store.names({ signal }, 'sizes/'),
      SIZES.map(size => `sizes/${size}`).sort((a, b) => (a < b ? -1 : 1)),
    )
    const theirs = await (await broker.js.views.os('BLOBS')).list()
    t.same(new Set(await store.names({ signal })), new Set(theirs.map(info => info.name)))
  })

  await t.test('makes no consumer when it is read', async t => {
    const fresh = await ensureStore(broker, 'QUIET', { signal })
    await fresh.put('a', bytesOf(3_000_000), { signal })
    await fresh.get('a', { signal })
    await fresh.names({ signal })
    t.equal((await broker.jsm.streams.info('OBJ_QUIET')).state.consumer_count, 0)
    t.ok((await consumers()) > 0, 'which cannot be said of the library')
  })

  await t.test('the same again is done at once, and stored once', async t => {
    const before = await store.bytes({ signal })
    const again = await store.put('sizes/9000000', bytesOf(9_000_000), { signal })
    t.equal(again.already, true)
    t.equal(await store.bytes({ signal }), before)
  })

  await t.test('other bytes under a taken name are refused, and nothing of them stays', async t => {
    const before = await store.bytes({ signal })
    await t.rejects(store.put('sizes/200000', bytesOf(200_000, 9), { signal }), { code: 'different', next: 'never' })
    await t.rejects(store.put('sizes/200000', bytesOf(10), { signal }), { code: 'different' })
    t.equal(await store.bytes({ signal }), before)
  })

  await t.test('of many who put one name at once, one content counts and leaves the only chunks', async t => {
    const race = await ensureStore(broker, 'RACE', { signal })
    const results = await Promise.allSettled(
      Array.from({ length: 12 }, (_, i) => race.put('one', bytesOf(50_000, 1 + (i % 3)), { signal })),
    )
    const won = hex(await race.get('one', { signal }))
    for (const [i, result] of results.entries()) {
      if (hex(bytesOf(50_000, 1 + (i % 3))) === won) t.equal(result.status, 'fulfilled')
      else t.match(result, { status: 'rejected', reason: { code: 'different' } })
    }
    t.equal((await broker.jsm.streams.info('OBJ_RACE')).state.messages, 2, 'one chunk and one entry')
  })

  await t.test('what was forgotten is gone without a trace, and its name is free', async t => {
    const one = await ensureStore(broker, 'FORGET', { signal })
    await one.put('a', bytesOf(2_000_000), { signal })
    await one.forget('a', { signal })
    await one.forget('a', { signal })
    await t.rejects(one.get('a', { signal }), { code: 'not-found', next: 'never', message: /get a from FORGET/ })
    t.equal(await one.bytes({ signal }), 0)
    await one.put('a', bytesOf(10, 5), { signal })
    t.equal((await one.get('a', { signal })).length, 10)
  })

  await t.test('what the library deleted is not there, and its name is free', async t => {
    const theirs = await broker.js.views.os('BLOBS')
    await theirs.putBlob({ name: 'deleted' }, bytesOf(10))
    await theirs.delete('deleted')
    await t.rejects(store.get('deleted', { signal }), { code: 'not-found' })
    await store.put('deleted', bytesOf(20), { signal })
    t.equal((await store.get('deleted', { signal })).length, 20)
    await store.forget('deleted', { signal })
  })

  await t.test('a name may be anything a person would write', async t => {
    for (const name of ['123/0/7', 'with space', 'dots.and.*', 'größe/日本']) {
      await store.put(name, bytesOf(5), { signal })
      t.equal((await store.get(name, { signal })).length, 5, name)
      t.ok((await store.names({ signal }, name)).includes(name))
    }
    await t.rejects(store.put('', bytesOf(5), { signal }), { code: 'invalid' })
  })

  await t.test('a missing chunk, or a changed one, is told as corrupt', async t => {
    const broken = await ensureStore(broker, 'BROKEN', { signal })
    await broken.put('missing', bytesOf(2_500_000), { signal })
    await broker.jsm.streams.deleteMessage('OBJ_BROKEN', 2)
    await t.rejects(broken.get('missing', { signal }), { code: 'corrupt', next: 'never' })
    await broken.put('changed', bytesOf(1_000), { signal })
    const info = await (await broker.js.views.os('BROKEN')).info('changed')
    await broker.jsm.streams.purge('OBJ_BROKEN', { filter: `$O.BROKEN.C.${info?.nuid}` })
    await broker.js.publish(`$O.BROKEN.C.${info?.nuid}`, bytesOf(1_000, 2))
    await t.rejects(broken.get('changed', { signal }), { code: 'corrupt', message: /1000 bytes/ })
  })

  await t.test('in a bucket that does not exist, or is full, fails by name', async t => {
    const absent = openStore(broker, 'ABSENT')
    await t.rejects(absent.get('a', { signal, attemptMs: 200 }), { code: 'not-found' })
    await t.rejects(absent.put('a', bytesOf(1), { signal, attemptMs: 200 }), { code: 'not-found' })
    const full = await ensureStore(broker, 'FULL', { signal, maxBytes: 100_000 })
    await full.put('a', bytesOf(60_000), { signal })
    await t.rejects(full.put('b', bytesOf(60_000), { signal, giveUpAfterMs: 0 }), {
      code: 'stream-full',
      next: 'later',
    })
    t.same(await full.names({ signal }), ['a'])
  })

  await t.test('a put that is told to stop leaves nothing behind', async t => {
    const stopped = await ensureStore(broker, 'STOPPED', { signal })
    const stop = new AbortController()
    const watcher = broker.nc.subscribe('$O.STOPPED.C.*', { callback: () => stop.abort(new Error('enough')) })
    const putting = stopped.put('a', bytesOf(9_000_000), { signal: stop.signal })
    await t.rejects(putting, { message: 'enough' })
    watcher.unsubscribe()
    t.same(await stopped.names({ signal }), [])
    t.equal((await broker.jsm.streams.info('OBJ_STOPPED')).state.messages, 0)
  })
})

await t.test('the object store through kills of the broker', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  const signal = inTime()
  const store = await ensureStore(broker, 'BLOBS', { signal })

  /** Puts objects and reads each back, the server killed twice meanwhile. */
  async function load(by: Broker, mine: Store, name: string, killAt?: number): Promise<void> {
    for (let n = 0; n < 30; n++) {
      if (n === killAt) void server.kill().then(() => server.restart())
      const bytes = bytesOf(400_000, n + 1)
      await mine.put(`${name}/${n}`, bytes, { signal })
      t.equal(hex(await mine.get(`${name}/${n}`, { signal })), hex(bytes))
    }
    t.equal(by.connected, true)
  }
  const other = await brokerOf(t, server)
  await Promise.all([load(broker, store, 'a', 10), load(other, openStore(other, 'BLOBS'), 'b')])
  t.equal((await store.names({ signal })).length, 60)
})

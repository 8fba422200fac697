import t from 'tap'
import {
  type Broker,
  BrokerError,
  type ClaimEntry,
  claim,
  claims,
  dropClaimBucket,
  ensureClaimBucket,
  lastOf,
  sealClaims,
} from '../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../helpers/nats-server.js'

const CLAIMERS = 8
const CLAIMS_EACH = 200

const nothing = new TextEncoder().encode('{}')

await t.test('claims', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  const signal = inTime()
  const take = (bucket: string, key: string, id = key, by: Broker = broker) =>
    claim(by, bucket, key, nothing, { id, signal, giveUpAfterMs: 2_000 })

  await t.test('the first claim of a bucket is index 0, the next one 1', async t => {
    await ensureClaimBucket(broker, 'FIRST', { signal })
    t.same(await take('FIRST', 'a'), { index: 0, duplicate: false })
    t.same(await take('FIRST', 'b'), { index: 1, duplicate: false })
  })

  await t.test('a claim repeated under its id is the same index again, and takes no other', async t => {
    await ensureClaimBucket(broker, 'AGAIN', { signal })
    await take('AGAIN', 'a')
    await take('AGAIN', 'b')
    t.same(await take('AGAIN', 'a'), { index: 0, duplicate: true })
    t.same(await take('AGAIN', 'c'), { index: 2, duplicate: false })
  })

  await t.test('another claim on a taken key is refused and takes no index', async t => {
    await ensureClaimBucket(broker, 'KEYS', { signal })
    await take('KEYS', 'a', 'mine')
    await t.rejects(take('KEYS', 'a', 'yours'), { code: 'different', next: 'never' })
    t.same(await take('KEYS', 'b'), { index: 1, duplicate: false })
  })

  await t.test(`${CLAIMERS} claimers at once share out indices without a gap or a double`, async t => {
    await ensureClaimBucket(broker, 'MANY', { signal })
    const brokers = await Promise.all(Array.from({ length: CLAIMERS }, () => brokerOf(t, server)))
    const taken = await Promise.all(
      brokers.map(async (by, claimer) => {
        const indices: number[] = []
        for (let n = 0; n < CLAIMS_EACH; n++)
          indices.push((await take('MANY', `g${claimer}.${n}`, undefined, by)).index)
        return indices
      }),
    )
    const all = taken.flat().sort((a, b) => a - b)
    t.same(
      all,
      Array.from({ length: CLAIMERS * CLAIMS_EACH }, (_, i) => i),
    )
    t.ok(
      taken.every(indices => indices.every((index, i) => i === 0 || index > indices[i - 1]!)),
      "a claimer's own indices grow",
    )
  })

  await t.test('a bucket that was never made is refused by name, and is not made', async t => {
    await t.rejects(take('NEVER', 'a'), { code: 'not-found', next: 'never', message: /NEVER/ })
    await t.rejects(take('NEVER', 'b'), { code: 'not-found' })
  })

  await t.test('a dropped bucket is refused, and dropping it twice is harmless', async t => {
    await ensureClaimBucket(broker, 'DROPPED', { signal })
    await take('DROPPED', 'a')
    await dropClaimBucket(broker, 'DROPPED', { signal })
    await dropClaimBucket(broker, 'DROPPED', { signal })
    await t.rejects(take('DROPPED', 'b'), { code: 'not-found' })
  })

  await t.test('after sealing, new claims are refused and old ones still know their index', async t => {
    await ensureClaimBucket(broker, 'SEALED', { signal })
    await take('SEALED', 'a')
    await take('SEALED', 'b')
    await sealClaims(broker, 'SEALED', { signal })
    await sealClaims(broker, 'SEALED', { signal })
    await t.rejects(take('SEALED', 'c'), { code: 'sealed', next: 'never' })
    t.same(await take('SEALED', 'b'), { index: 1, duplicate: true })
  })

  await t.test('a capped bucket takes exactly its cap', async t => {
    await ensureClaimBucket(broker, 'CAPPED', { signal, cap: 2 })
    await take('CAPPED', 'a')
    await take('CAPPED', 'b')
    await t.rejects(take('CAPPED', 'c'), { code: 'stream-full', next: 'never' })
    t.same(await take('CAPPED', 'b'), { index: 1, duplicate: true })
  })

  await t.test(
    'whoever follows sees each claim once, in the order of the indices, with its value and time',
    async t => {
      await ensureClaimBucket(broker, 'FOLLOWED', { signal })
      const before = Date.now()
      for (const key of ['g0.a', 'g1.b']) await claim(broker, 'FOLLOWED', key, nothing, { id: `id-${key}`, signal })
      const seen: ClaimEntry[] = []
      const stop = new AbortController()
      const following = claims(broker, 'FOLLOWED', {
        signal: stop.signal,
        onClaim: entry => {
          seen.push(entry)
          if (seen.length === 3) stop.abort()
        },
      })
      await following.caughtUp
      t.equal(seen.length, 2, 'both are there when it has caught up')
      await take('FOLLOWED', 'g0.c')
      await following.done
      t.same(
        seen.map(({ index, key, id }) => ({ index, key, id })),
        [
          { index: 0, key: 'g0.a', id: 'id-g0.a' },
          { index: 1, key: 'g1.b', id: 'id-g1.b' },
          { index: 2, key: 'g0.c', id: 'g0.c' },
        ],
      )
      t.equal(new TextDecoder().decode(seen[0]?.value), '{}')
      t.ok(seen.every(entry => Math.abs(entry.timeMs - before) < 60_000))
    },
  )

  await t.test('the library reads the bucket as any other key-value bucket', async t => {
    await ensureClaimBucket(broker, 'READABLE', { signal })
    await take('READABLE', 'g0.a')
    const kv = await broker.js.views.kv('READABLE', { bindOnly: true })
    const entry = await kv.get('g0.a')
    t.match(entry, { key: 'g0.a', revision: 1 })
    t.equal(entry?.string(), '{}')
    t.equal((await kv.status()).values, 1)
  })

  await t.test('nothing can be removed from a bucket or overwritten', async t => {
    await ensureClaimBucket(broker, 'KEPT', { signal })
    await take('KEPT', 'a')
    const kv = await broker.js.views.kv('KEPT', { bindOnly: true })
    await t.rejects(kv.put('a', 'other'))
    await t.rejects(kv.delete('a'))
    await t.rejects(kv.purge('a'))
    await t.rejects(broker.jsm.streams.purge('KV_KEPT'))
    const kept = await lastOf(broker, 'KV_KEPT', '$KV.KEPT.a', { signal })
    t.match(kept, { seq: 1, msgId: 'a' })
    t.same(await take('KEPT', 'b'), { index: 1, duplicate: false })
  })

  await t.test('an id is remembered for two windows at least', async t => {
    await ensureClaimBucket(broker, 'REMEMBERED', { signal })
    const { config } = await broker.jsm.streams.info('KV_REMEMBERED')
    t.equal(config.duplicate_window / 1e9, 900)
    await t.rejects(
      async () => ensureClaimBucket(broker, 'SHORT', { signal, maxAgeMs: 60_000 }),
      new BrokerError(
        'invalid',
        'bucket SHORT: claims must live (60000 ms) at least as long as their ids are remembered (900000 ms)',
      ),
    )
  })

  await t.test('a claimer that is told to stop stops, whatever the broker does', async t => {
    await ensureClaimBucket(broker, 'STOPPED', { signal })
    server.pause()
    const stop = new AbortController()
    const waiting = claim(broker, 'STOPPED', 'a', nothing, { id: 'a', signal: stop.signal })
    stop.abort(new Error('enough'))
    await t.rejects(waiting, { message: 'enough' })
    server.resume()
  })
})

await t.test('a claimer without the right to claim is refused at once', { skip: natsServerAbsent }, async t => {
  const users = `users = [
    { user: controller, password: c }
    { user: generator, password: g, permissions: { publish: { deny: "$KV.CLOSED.>" } } }
  ]`
  const server = await startNats(t, { extra: `authorization { ${users} }` })
  const controller = await brokerOf(t, server, { user: 'controller', password: 'c' })
  const generator = await brokerOf(t, server, { user: 'generator', password: 'g' })
  const signal = inTime()
  for (const bucket of ['OPEN', 'CLOSED']) await ensureClaimBucket(controller, bucket, { signal })
  t.same(await claim(generator, 'OPEN', 'a', nothing, { id: 'a', signal }), { index: 0, duplicate: false })
  await t.rejects(claim(generator, 'CLOSED', 'a', nothing, { id: 'a', signal }), { code: 'permission', next: 'never' })
})

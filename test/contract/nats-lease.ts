import t from 'tap'
import { ensure, holdLease, kvBucket, lastOf } from '../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats, until } from '../helpers/nats-server.js'

const TTL_MS = 900

/** Done when the signal comes. */
const aborted = (signal: AbortSignal) =>
  new Promise<void>(resolve => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

await t.test('a lease', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  const signal = inTime()
  await ensure(broker, [kvBucket('LEASES', { maxAgeMs: TTL_MS })], { signal })
  const options = { ttlMs: TTL_MS, signal }

  await t.test('is given to the first who asks, and back', async t => {
    const lease = await holdLease(broker, 'LEASES', 'first', 'a', options)
    t.equal(lease.fence, 1)
    t.equal(lease.lost.aborted, false)
    await lease.release()
    await lease.release()
    t.equal(lease.lost.aborted, false, 'giving back is not losing')
    t.equal(await lastOf(broker, 'KV_LEASES', '$KV.LEASES.first', { signal }), undefined)
  })

  await t.test('is kept for longer than its life, and its fence stays', async t => {
    const lease = await holdLease(broker, 'LEASES', 'kept', 'a', options)
    const renewed = await until('it was renewed past its first life', async () => {
      const entry = await lastOf(broker, 'KV_LEASES', '$KV.LEASES.kept', { signal })
      return entry !== undefined && entry.seq >= lease.fence + 4 ? entry : undefined
    })
    t.equal(lease.lost.aborted, false)
    t.match(JSON.parse(new TextDecoder().decode(renewed.bytes)), { holder: 'a', fence: lease.fence })
    await lease.release()
  })

  await t.test("is another holder's only after it was given back, under a larger fence", async t => {
    const first = await holdLease(broker, 'LEASES', 'turns', 'a', options)
    const told: string[] = []
    let obtained = false
    const waiting = holdLease(broker, 'LEASES', 'turns', 'b', { ...options, onWaiting: holder => told.push(holder) })
    void waiting.then(() => {
      obtained = true
    })
    await until('the second one waits', () => told.length > 0 || undefined)
    t.same(told, ['a'])
    t.equal(obtained, false)
    await first.release()
    const second = await waiting
    t.ok(second.fence > first.fence)
    await second.release()
  })

  await t.test("of a holder that died ends by the server's clock", async t => {
    // A connection of its own, killed without a word: nothing renews and nothing gives back.
    const dying = await brokerOf(t, server)
    const dead = await holdLease(dying, 'LEASES', 'dead', 'a', options)
    await dying.nc.close()
    const next = await holdLease(broker, 'LEASES', 'dead', 'b', options)
    t.ok(next.fence > dead.fence)
    t.equal(dead.lost.aborted, true, 'and the dead one knew')
    await next.release()
  })

  await t.test('is taken over at once by the same holder come again, and the old one loses it', async t => {
    const lost: string[] = []
    const old = await holdLease(broker, 'LEASES', 'again', 'a', { ...options, onLost: why => lost.push(why.code) })
    const again = await holdLease(broker, 'LEASES', 'again', 'a', options)
    t.ok(again.fence > old.fence)
    await aborted(old.lost)
    t.same(lost, ['wrong-revision'])
    t.equal(again.lost.aborted, false)
    await old.release()
    const entry = await lastOf(broker, 'KV_LEASES', '$KV.LEASES.again', { signal })
    t.match(
      JSON.parse(new TextDecoder().decode(entry?.bytes)),
      { holder: 'a' },
      'a lost lease given back takes nothing away',
    )
    await again.release()
  })

  await t.test('is lost when it could not be renewed for its whole life', async t => {
    const lost: string[] = []
    const lease = await holdLease(broker, 'LEASES', 'frozen', 'a', { ...options, onLost: why => lost.push(why.code) })
    server.pause()
    await aborted(lease.lost)
    server.resume()
    t.same(lost, ['timeout'])
    t.match(lease.lost.reason, { code: 'timeout', message: /could not be renewed for 900 ms/ })
  })

  await t.test('outlives a kill of the broker that is short of its life', async t => {
    // A server takes half a second to come back, on a busy machine seconds.
    const ttlMs = 10 * TTL_MS
    await ensure(broker, [kvBucket('LONG', { maxAgeMs: ttlMs })], { signal })
    const lease = await holdLease(broker, 'LONG', 'killed', 'a', { ...options, ttlMs })
    const before = await lastOf(broker, 'KV_LONG', '$KV.LONG.killed', { signal })
    await server.kill()
    await server.restart()
    await until('it was renewed after the restart', async () => {
      const entry = await lastOf(broker, 'KV_LONG', '$KV.LONG.killed', { signal })
      return entry !== undefined && entry.seq > before!.seq ? entry : undefined
    })
    t.equal(lease.lost.aborted, false)
    await lease.release()
  })

  await t.test('has one holder at a time, whatever order they come in', async t => {
    let holding = 0
    const fences: number[] = []
    await Promise.all(
      ['a', 'b', 'c', 'd'].map(async holder => {
        const lease = await holdLease(broker, 'LEASES', 'one', holder, options)
        t.equal(++holding, 1)
        fences.push(lease.fence)
        await broker.nc.flush()
        holding--
        await lease.release()
      }),
    )
    t.same(
      fences,
      [...fences].sort((a, b) => a - b),
      'fences only grow',
    )
  })

  await t.test('that nobody waits for any more is not taken', async t => {
    const held = await holdLease(broker, 'LEASES', 'given-up', 'a', options)
    const stop = new AbortController()
    const waiting = holdLease(broker, 'LEASES', 'given-up', 'b', { ...options, signal: stop.signal })
    stop.abort(new Error('enough'))
    await t.rejects(waiting, { message: 'enough' })
    await held.release()
  })

  await t.test('in no bucket, or in one whose entries live for another time, is refused', async t => {
    await t.rejects(holdLease(broker, 'NEVER', 'x', 'a', options), { code: 'not-found' })
    await t.rejects(holdLease(broker, 'LEASES', 'x', 'a', { ...options, ttlMs: 60_000 }), {
      code: 'invalid',
      message: /live for 900 ms, not 60000 ms/,
    })
    await t.rejects(holdLease(broker, 'LEASES', 'x y', 'a', options), { code: 'invalid' })
  })
})

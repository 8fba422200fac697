import { join } from 'node:path'
import t from 'tap'
import { hostLease } from '../../actors/generator/host-lease.js'
import { LEASES } from '../../actors/streams.js'
import { type Broker, ensure, holdLease, kvBucket, lastOf } from '../../nats/index.js'
import type { Bucket } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import type { CacheOptions } from '../../src/checkpoint/cache.js'
import { fileLock, type HostLock } from '../../src/checkpoint/file-lock.js'
import { host, published, watched } from '../checkpoint/helpers/host.js'
import { publishFull, someWeights } from '../checkpoint/helpers/publisher.js'
import { brokerOf, inTime, natsServerAbsent, startNats, until } from '../helpers/nats-server.js'

// Who makes a checkpoint for a host: one process at a time, by a lease in a real broker.

const LEASE_MS = 900

await t.test('a checkpoint is made under a lease of its host', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  await ensure(broker, [kvBucket(LEASES, { maxAgeMs: LEASE_MS })], { signal: inTime() })

  /** What a process of a host makes checkpoints under. */
  const lockOf = (instance: string, over: { broker?: Broker; host?: string } = {}) =>
    hostLease({ broker, host: 'gpu-1', instance, leaseMs: LEASE_MS, ...over })
  const cacheOf = (folder: string, bucket: Bucket, lock: HostLock, over: Partial<CacheOptions> = {}) =>
    host(join(folder, 'cache'), bucket, {
      lock,
      place: fileLock({ folder: join(folder, 'cache', '.locks'), now: Date.now, pollMs: 5 }),
      ...over,
    })
  const isFree = (host: string) =>
    holdLease(broker, LEASES, `fetch.${host}.checkpoint-900`, 'a visitor', { ttlMs: LEASE_MS, signal: inTime() }).then(
      lease => lease.release(),
    )

  await t.test('of those that want the same one, one downloads and the others take what it made', async t => {
    const folder = t.testdir()
    const bucket = openDirBucket({ folder: join(folder, 'bucket'), create: true })
    await publishFull(bucket, 900, someWeights(1))
    const pointer = await published(bucket, 900)
    const seen = watched(bucket)
    const wanting = [0, 1, 2].map(i => {
      return cacheOf(folder, seen, lockOf(`generator-gpu-1-${i}`)).ensure(pointer, inTime())
    })
    const found = await Promise.all(wanting)
    t.equal(new Set(found.map(one => one.folder)).size, 1)
    t.equal(seen.gets.length, new Set(seen.gets).size, 'no file was fetched twice')
    await isFree('gpu-1')
    t.pass('and the lease was given back')
  })

  await t.test('who loses it stops at once, and another one goes on with what is there', async t => {
    const folder = t.testdir()
    const bucket = openDirBucket({ folder: join(folder, 'bucket'), create: true })
    await publishFull(bucket, 900, someWeights(2))
    const pointer = await published(bucket, 900)

    const lonely = await brokerOf(t, server)
    const first = watched(bucket)
    let ended = false
    const hanging = {
      ...first,
      get: (key: string, signal: AbortSignal, range?: { from: number; to: number }) =>
        first.gets.length < 3
          ? first.get(key, signal, range)
          : new Promise<Uint8Array>((_, reject) =>
              signal.addEventListener('abort', () => {
                ended = true
                reject(signal.reason as Error)
              }),
            ),
    }
    const lock = lockOf('generator-gpu-1-0', { broker: lonely })
    const cut = cacheOf(folder, hanging, lock, { parallel: 1 }).ensure(pointer, inTime())
    cut.catch(() => {})
    await until('the first one is in the middle', () => first.gets.length === 3 || undefined)
    const second = watched(bucket)
    const waiting = cacheOf(folder, second, lockOf('generator-gpu-1-1')).ensure(pointer, inTime())
    await lonely.nc.close()
    await t.rejects(cut, { name: 'CheckpointError', code: 'lock-lost', next: 'later' })
    t.ok(ended, 'its request was ended')
    t.equal((await waiting).folder, join(folder, 'cache', 'checkpoint-900'))
    const files = (gets: string[]) => gets.filter(key => !key.includes('metadata.json'))
    t.same(
      files(second.gets).filter(key => first.gets.includes(key)),
      [],
      `${files(first.gets).length} files were there`,
    )
  })

  await t.test('other checkpoints and other hosts are not waited for', async t => {
    const held = await lockOf('generator-gpu-1-0')('checkpoint-900', inTime())
    const others = [
      await lockOf('generator-gpu-1-1')('checkpoint-930', inTime()),
      await lockOf('generator-gpu-2-0', { host: 'gpu-2' })('checkpoint-900', inTime()),
    ]
    for (const one of [held, ...others]) await one.release()
    for (const one of [held, ...others]) await one.release()
    t.pass('giving back twice is harmless')
  })

  await t.test('a process does not take it from itself', async t => {
    const lock = lockOf('generator-gpu-1-0')
    const first = await lock('checkpoint-900', inTime())
    const order: string[] = []
    const turns = ['second', 'third'].map(async name => {
      const held = await lock('checkpoint-900', inTime())
      order.push(name)
      await held.release()
    })
    const impatient = new AbortController()
    const fourth = lock('checkpoint-900', impatient.signal)
    const why = new Error('the window opened')
    impatient.abort(why)
    await t.rejects(fourth, why, 'who waits in line may leave')
    const entry = () => lastOf(broker, `KV_${LEASES}`, `$KV.${LEASES}.fetch.gpu-1.checkpoint-900`, { signal: inTime() })
    const seq = (await entry())?.seq ?? 0
    await until('it was renewed twice', async () => ((await entry())?.seq ?? 0) >= seq + 2 || undefined)
    t.same([order, first.lost.aborted], [[], false], 'others of the process wait while it is renewed')
    await first.release()
    await Promise.all(turns)
    t.same(order, ['second', 'third'])
  })

  await t.test('one that was killed, or hangs, loses it by itself', async t => {
    const dying = await brokerOf(t, server)
    const dead = await lockOf('generator-gpu-1-0', { broker: dying })('checkpoint-900', inTime())
    await dying.nc.close()
    const next = await lockOf('generator-gpu-1-1')('checkpoint-900', inTime())
    t.equal(next.lost.aborted, false)
    t.equal(dead.lost.aborted, true, 'and knows when it lives')
    await next.release()
  })

  await t.test('a wait ends with its signal', async t => {
    const theirs = await lockOf('generator-gpu-1-0')('checkpoint-900', inTime())
    const over = new AbortController()
    const lock = lockOf('generator-gpu-1-1')
    const waiting = lock('checkpoint-900', over.signal)
    const why = new Error('the window opened')
    over.abort(why)
    await t.rejects(waiting, why)
    await theirs.release()
    await (await lock('checkpoint-900', inTime())).release()
    t.pass('and the next one of that process gets it')
  })
})

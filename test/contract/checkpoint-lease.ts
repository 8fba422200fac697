import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hostLease } from '../../actors/generator/host-lease.js'
import { LEASES } from '../../actors/streams.js'
import { type Broker, ensure, holdLease, kvBucket } from '../../nats/index.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { fileLock } from '../../src/checkpoint/file-lock.js'
import { thisProcess } from '../../src/checkpoint/process-identity.js'
import { host, published, watched } from '../checkpoint/helpers/host.js'
import { publishFull, someWeights } from '../checkpoint/helpers/publisher.js'
import { brokerOf, inTime, natsServerAbsent, startNats, until } from '../helpers/nats-server.js'

// Who makes a checkpoint for a host: one process at a time, by a lease in a real broker above the lock on the folder.

const LEASE_MS = 900
const never = new AbortController().signal

await t.test('a checkpoint is made under a lease of its host', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  await ensure(broker, [kvBucket(LEASES, { maxAgeMs: LEASE_MS })], { signal: inTime() })

  /** The lock of a process of a host. */
  const lockOf = (folder: string, instance: string, over: { broker?: Broker; host?: string } = {}) =>
    hostLease({
      ...{ broker, host: 'gpu-1', instance, leaseMs: LEASE_MS, ...over },
      files: fileLock({ folder: join(folder, '.locks'), now: Date.now, pollMs: 5, unseenMs: 0 }),
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
      const lock = lockOf(join(folder, 'cache'), `generator-gpu-1-${i}`)
      return host(join(folder, 'cache'), seen, { lock }).ensure(pointer, inTime())
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
    const lock = lockOf(join(folder, 'cache'), 'generator-gpu-1-0', { broker: lonely })
    const cut = host(join(folder, 'cache'), hanging, { lock, parallel: 1 }).ensure(pointer, inTime())
    cut.catch(() => {})
    await until('the first one is in the middle', () => first.gets.length === 3 || undefined)
    const second = watched(bucket)
    const after = host(join(folder, 'cache'), second, { lock: lockOf(join(folder, 'cache'), 'generator-gpu-1-1') })
    const waiting = after.ensure(pointer, inTime())
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

  await t.test('a container that cannot see whether another one lives goes by the lease', async t => {
    const folder = t.testdir()
    const locks = join(folder, '.locks')
    mkdirSync(locks)
    // A process of another container holds the file: from here it can be alive or dead.
    const elsewhere = { ...(await thisProcess()), pidNamespace: '1' }
    writeFileSync(join(locks, 'checkpoint-900.1.lock'), JSON.stringify(elsewhere))
    const theirs = await holdLease(broker, LEASES, 'fetch.gpu-1.checkpoint-900', 'generator-gpu-1-0', {
      ttlMs: LEASE_MS,
      signal: inTime(),
    })
    let isHeld = false
    const mine = lockOf(folder, 'generator-gpu-1-1')('checkpoint-900', inTime()).then(held => {
      isHeld = true
      return held
    })
    const other = await lockOf(folder, 'generator-gpu-1-1')('checkpoint-930', inTime())
    await other.release()
    t.equal(isHeld, false, 'it lives: it is waited for, other checkpoints are not')
    await theirs.release()
    const held = await mine
    t.equal(held.lost.aborted, false, 'it is done: the next one goes on')
    await held.release()
  })

  await t.test('hosts do not wait for each other', async t => {
    const folder = t.testdir({ a: {}, b: {} })
    const a = await lockOf(join(folder, 'a'), 'generator-gpu-1-0')('checkpoint-900', inTime())
    const b = await lockOf(join(folder, 'b'), 'generator-gpu-2-0', { host: 'gpu-2' })('checkpoint-900', inTime())
    for (const held of [a, b]) await held.release()
    for (const held of [a, b]) await held.release()
    t.pass('twice is harmless')
  })

  await t.test('a wait ends with its signal, and holds nothing then', async t => {
    const folder = t.testdir()
    const theirs = await holdLease(broker, LEASES, 'fetch.gpu-1.checkpoint-900', 'generator-gpu-1-0', {
      ttlMs: LEASE_MS,
      signal: inTime(),
    })
    const over = new AbortController()
    const waiting = lockOf(folder, 'generator-gpu-1-1')('checkpoint-900', over.signal)
    const why = new Error('the window opened')
    over.abort(why)
    await t.rejects(waiting, why)
    const file = await fileLock({ folder: join(folder, '.locks'), now: Date.now, pollMs: 5 })('checkpoint-900', never)
    t.pass('the folder’s own lock is free')
    await file.release()
    await theirs.release()
  })
})

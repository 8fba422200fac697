import t from 'tap'
import {
  announce,
  BrokerError,
  done,
  ensure,
  later,
  message,
  never,
  type Outcome,
  pullOne,
  subjects,
  type WorkItem,
  work,
  workQueue,
} from '../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats, until } from '../helpers/nats-server.js'

const ACK_WAIT_MS = 600

const task = message('task.{queue}.{n:int}', {
  parse: value => value as { n: number },
  id: (_, { queue, n }) => `${queue}.${n}`,
})

await t.test('work', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  const signal = inTime()

  /** A queue of its own with the tasks 1 to `count`. */
  async function queue(name: string, count: number): Promise<string> {
    await ensure(broker, [workQueue(name, [`task.${name}.*`], { name: 'workers', ackWaitMs: ACK_WAIT_MS })], { signal })
    for (let n = 1; n <= count; n++) await announce(broker, task, { queue: name, n }, { n }, { signal })
    return name
  }
  const numberOf = (item: WorkItem | undefined) => (item === undefined ? undefined : task.decode(item.bytes).n)
  const take = (name: string, expiresMs = 5_000) => pullOne(broker, name, 'workers', { signal, expiresMs })
  const left = async (name: string) => (await subjects(broker, name, '>', { signal })).size

  await t.test('is taken one item at a time, lowest first, and is gone when done', async t => {
    const name = await queue('ONE', 3)
    const first = await take(name)
    const second = await take(name)
    t.same([numberOf(first), numberOf(second)], [1, 2])
    t.match(first, { subject: 'task.ONE.1', seq: 1, tries: 1, msgId: 'ONE.1' })
    await first?.settle(done, { signal })
    await second?.settle(done, { signal })
    t.equal(await left(name), 1)
  })

  await t.test('that is not there is said so: at once, or after the time given', async t => {
    const name = await queue('NONE', 0)
    t.equal(await take(name, 0), undefined)
    t.equal(await take(name, 100), undefined)
  })

  await t.test('that comes while somebody waits is given to them', async t => {
    const name = await queue('WAIT', 0)
    const waiting = take(name)
    await announce(broker, task, { queue: name, n: 1 }, { n: 1 }, { signal })
    t.equal(numberOf(await waiting), 1)
  })

  await t.test('put back for later comes again, after the time given', async t => {
    const name = await queue('LATER', 1)
    const first = await take(name)
    await first?.settle(later(0, 'busy'), { signal })
    const again = await take(name)
    t.match(again, { seq: 1, tries: 2 })
    await again?.settle(later(2_000, 'busy'), { signal })
    t.equal(await take(name, 0), undefined, 'not yet')
    t.match(await take(name), { seq: 1, tries: 3 })
  })

  await t.test('given up never comes again', async t => {
    const name = await queue('NEVER', 1)
    const item = await take(name)
    await item?.settle(never('cannot be read'), { signal })
    t.equal(await left(name), 0)
    t.equal(await take(name, 0), undefined)
  })

  await t.test('of one who died is given to another after the ack wait', async t => {
    const name = await queue('DEAD', 1)
    const dying = await brokerOf(t, server)
    t.equal(numberOf(await pullOne(dying, name, 'workers', { signal, expiresMs: 1_000 })), 1)
    await dying.nc.close()
    t.match(await take(name), { seq: 1, tries: 2 })
  })

  await t.test('is not lost when whoever waits for it is told to stop', async t => {
    const name = await queue('STOP', 0)
    const stop = new AbortController()
    const waiting = pullOne(broker, name, 'workers', { signal: stop.signal, expiresMs: 60_000 })
    stop.abort()
    t.equal(await waiting, undefined)
    await announce(broker, task, { queue: name, n: 1 }, { n: 1 }, { signal })
    t.match(await take(name), { seq: 1 })
  })

  await t.test('from a queue that does not exist, or over a broken connection, fails by name', async t => {
    await t.rejects(take('NOWHERE', 100), { code: 'not-found', message: /NOWHERE/ })
    const closed = await brokerOf(t, server)
    await closed.drain()
    await t.rejects(pullOne(closed, 'ONE', 'workers', { signal, expiresMs: 100 }), { code: 'closed' })
    await t.rejects(work(broker, 'NOWHERE', 'workers', { signal, handle: () => done }), { code: 'not-found' })
  })

  /** Works a queue off with a handler until `enough` settlings were told. */
  async function workOff(
    name: string,
    enough: number,
    handle: (item: WorkItem, n: number) => Outcome | Promise<Outcome>,
  ) {
    const told: string[] = []
    const stop = new AbortController()
    await work(broker, name, 'workers', {
      signal: AbortSignal.any([stop.signal, signal]),
      handle: item => handle(item, numberOf(item)!),
      onSettled: (item, outcome, failed) => {
        told.push(`${numberOf(item)} ${outcome.type}${failed ? ` but ${failed.code}` : ''}`)
        if (told.length === enough) stop.abort()
      },
    })
    return told
  }

  await t.test('is worked off in order, each item with its outcome', async t => {
    const name = await queue('LOOP', 4)
    const told = await workOff(name, 5, (item, n) => {
      if (n === 2) return never('odd')
      if (n === 3 && item.tries === 1) return later(0, 'once more')
      return done
    })
    t.same(new Set(told), new Set(['1 done', '2 never', '3 later', '3 done', '4 done']))
    t.equal(await left(name), 0)
  })

  await t.test('that throws is tried again, unless the error says never', async t => {
    const name = await queue('THROWS', 2)
    const told = await workOff(name, 3, (item, n) => {
      if (n === 1) throw new BrokerError('payload', 'not a task')
      if (item.tries === 1) throw new BrokerError('busy', 'soon', { retryAfterMs: 20 })
      return done
    })
    t.same(told, ['1 never', '2 later', '2 done'])
  })

  await t.test('that takes longer than the ack wait is kept alive', async t => {
    const name = await queue('LONG', 1)
    let tries = 0
    const told = await workOff(name, 1, async item => {
      tries = Math.max(tries, item.tries)
      // As long as two ack waits, by what the server itself would give out again meanwhile.
      for (let waited = 0; waited < 2; waited++) t.equal(await take(name, ACK_WAIT_MS), undefined)
      return done
    })
    t.same(told, ['1 done'])
    t.equal(tries, 1)
  })

  await t.test('is shared by two workers without an overlap', async t => {
    const name = await queue('SHARED', 60)
    const seen: number[] = []
    const stop = new AbortController()
    const workers = [broker, await brokerOf(t, server)].map(by =>
      work(by, name, 'workers', {
        signal: stop.signal,
        handle: item => {
          seen.push(numberOf(item)!)
          return done
        },
      }),
    )
    await until('all is done', async () => (await left(name)) === 0 || undefined)
    stop.abort()
    await Promise.all(workers)
    t.same(
      seen.sort((a, b) => a - b),
      Array.from({ length: 60 }, (_, i) => i + 1),
    )
  })

  await t.test('goes on through a kill of the broker, and no item is lost', async t => {
    const name = await queue('KILLED', 40)
    const seen = new Set<number>()
    const stop = new AbortController()
    let killed: Promise<void> | undefined
    const working = work(broker, name, 'workers', {
      signal: stop.signal,
      handle: item => {
        seen.add(numberOf(item)!)
        if (seen.size === 15) killed ??= server.kill().then(() => server.restart())
        return done
      },
    })
    await until('all is done', async () => (await left(name)) === 0 || undefined)
    stop.abort()
    await working
    await killed
    t.equal(seen.size, 40)
  })
})

import t from 'tap'
import {
  type Broker,
  bePresent,
  ensure,
  kvBucket,
  type PresenceChange,
  presentKeys,
  watchPresence,
} from '../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats, until } from '../helpers/nats-server.js'

const LIFE_MS = 900
const EVERY_MS = 300

const utf8 = new TextEncoder()
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

await t.test('presence', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  const signal = inTime()
  const bucket = async (name: string) => {
    await ensure(broker, [kvBucket(name, { maxAgeMs: LIFE_MS })], { signal })
    return name
  }
  const keys = (name: string) => presentKeys(broker, name, { signal })

  /** Whoever watches, as a list of what it saw. */
  function watch(name: string, by: Broker = broker) {
    const seen: string[] = []
    const stop = new AbortController()
    const onChange = (change: PresenceChange) =>
      void seen.push(change.type === 'present' ? `${change.key}=${text(change.bytes)}` : `${change.key} gone`)
    const watching = watchPresence(by, name, { signal: stop.signal, checkEveryMs: 50, onChange })
    const end = () => {
      stop.abort()
      return watching.done
    }
    return { seen, watching, stop: end }
  }

  await t.test('of the living is listed; of those who say goodbye, not', async t => {
    const name = await bucket('LIST')
    const stops = ['generator-1', 'generator-0'].map(key => {
      const stop = new AbortController()
      return {
        stop,
        present: bePresent(broker, name, key, () => utf8.encode('{}'), { everyMs: EVERY_MS, signal: stop.signal }),
      }
    })
    await until('both are there', async () => (await keys(name)).length === 2 || undefined)
    t.same(await keys(name), ['generator-0', 'generator-1'])
    stops[0]?.stop.abort()
    await stops[0]?.present.done
    t.same(await keys(name), ['generator-0'])
    stops[1]?.stop.abort()
    await stops[1]?.present.done
    t.same(await keys(name), [])
  })

  await t.test("of one that died ends by the server's clock, and who watches is told", async t => {
    const name = await bucket('DEATH')
    const dying = await brokerOf(t, server)
    bePresent(dying, name, 'g', () => utf8.encode('alive'), { everyMs: EVERY_MS, signal })
    const { seen, stop } = watch(name)
    await until('it was renewed past its first life', () => seen.length > 4 || undefined)
    t.ok(seen.every(change => change === 'g=alive'))
    await dying.nc.close()
    await until('it is gone', () => seen.at(-1) === 'g gone' || undefined)
    t.equal(seen.filter(change => change === 'g gone').length, 1)
    t.same(await keys(name), [])
    await stop()
  })

  await t.test('is said again at once when poked', async t => {
    const name = await bucket('POKED')
    const stop = new AbortController()
    let load = 0
    const present = bePresent(broker, name, 'g', () => utf8.encode(String(load)), {
      everyMs: 60_000,
      signal: stop.signal,
    })
    const watcher = watch(name)
    await until('the first value', () => watcher.seen.includes('g=0') || undefined)
    load = 7
    present.poke()
    await until('the new value', () => watcher.seen.includes('g=7') || undefined)
    load = 8
    present.poke()
    load = 9
    present.poke()
    await until('the last value', () => watcher.seen.includes('g=9') || undefined)
    stop.abort()
    await present.done
    await until('the goodbye', () => watcher.seen.at(-1) === 'g gone' || undefined)
    await watcher.stop()
    t.pass()
  })

  await t.test('is first told of everyone, then of changes', async t => {
    const name = await bucket('EVERYONE')
    const stop = new AbortController()
    const say = (key: string) =>
      bePresent(broker, name, key, () => utf8.encode(key), { everyMs: EVERY_MS, signal: stop.signal })
    const both = [say('a'), say('b')]
    await until('both are there', async () => (await keys(name)).length === 2 || undefined)
    const { seen, watching, stop: end } = watch(name)
    await watching.caughtUp
    t.same(new Set(seen), new Set(['a=a', 'b=b']))
    stop.abort()
    await Promise.all(both.map(one => one.done))
    await until('both are gone', () => seen.filter(change => change.endsWith('gone')).length === 2 || undefined)
    await end()
  })

  await t.test('comes through a kill of the broker', async t => {
    const name = await bucket('KILLED')
    const stop = new AbortController()
    const missed: string[] = []
    let said = 'before'
    const present = bePresent(broker, name, 'g', () => utf8.encode(said), {
      everyMs: EVERY_MS,
      signal: stop.signal,
      onMissed: why => missed.push(why.next),
    })
    const { seen, stop: end } = watch(name)
    await until('it is there', () => seen.includes('g=before') || undefined)
    await server.kill()
    said = 'after'
    present.poke()
    await until('it was missed', () => missed.length > 0 || undefined)
    await server.restart()
    await until('it is there again', () => seen.includes('g=after') || undefined)
    t.ok(missed.every(next => next === 'later'))
    stop.abort()
    await present.done
    await end()
  })

  await t.test('deleted by an operator is told as gone', async t => {
    const name = await bucket('OPERATOR')
    const kv = await broker.js.views.kv(name, { bindOnly: true })
    await kv.put('g', 'here')
    const { seen, stop } = watch(name)
    await until('it is there', () => seen.includes('g=here') || undefined)
    await kv.delete('g')
    await until('it is gone', () => seen.at(-1) === 'g gone' || undefined)
    t.same(seen, ['g=here', 'g gone'])
    await stop()
  })

  await t.test('in a bucket that does not exist fails by name', async t => {
    const present = bePresent(broker, 'NEVER', 'g', () => utf8.encode(''), { everyMs: EVERY_MS, signal })
    await t.rejects(present.done, { code: 'not-found', message: /NEVER/ })
    await t.rejects(watchPresence(broker, 'NEVER', { signal, onChange: () => {} }).done, { code: 'not-found' })
  })
})

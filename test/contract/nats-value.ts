import t from 'tap'
import { ensure, kvBucket, putValue, readValue } from '../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../helpers/nats-server.js'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes)

await t.test('a value', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  const signal = inTime()
  await ensure(broker, [kvBucket('CONFIG')], { signal })
  const kv = await broker.js.views.kv('CONFIG', { bindOnly: true })

  await t.test('is read as it was written last, by us or by the library', async t => {
    t.equal(await readValue(broker, 'CONFIG', 'policy', { signal }), undefined)
    t.equal(await putValue(broker, 'CONFIG', 'policy', bytes('one'), { signal }), 1)
    t.equal(await putValue(broker, 'CONFIG', 'policy', bytes('two'), { signal }), 2)
    const value = await readValue(broker, 'CONFIG', 'policy', { signal })
    t.match(value, { revision: 2 })
    t.equal(text(value?.bytes), 'two')
    t.equal((await kv.get('policy'))?.string(), 'two')
    await kv.put('policy', 'three')
    t.equal(text((await readValue(broker, 'CONFIG', 'policy', { signal }))?.bytes), 'three')
  })

  await t.test('that was deleted is not there', async t => {
    await kv.delete('policy')
    t.equal(await readValue(broker, 'CONFIG', 'policy', { signal }), undefined)
  })

  await t.test('is written over a known revision only, when asked', async t => {
    const first = await putValue(broker, 'CONFIG', 'guarded', bytes('a'), { signal, replaces: 0 })
    const late = putValue(broker, 'CONFIG', 'guarded', bytes('b'), { signal, replaces: 0 })
    await t.rejects(late, { code: 'wrong-revision', next: 'never' })
    await putValue(broker, 'CONFIG', 'guarded', bytes('c'), { signal, replaces: first })
    t.equal(text((await readValue(broker, 'CONFIG', 'guarded', { signal }))?.bytes), 'c')
  })

  await t.test('in no bucket, or under no key, is refused', async t => {
    await t.rejects(putValue(broker, 'NEVER', 'a', bytes('a'), { signal }), { code: 'not-found' })
    await t.rejects(readValue(broker, 'NEVER', 'a', { signal }), { code: 'not-found' })
    await t.rejects(readValue(broker, 'CONFIG', 'a b', { signal }), { code: 'invalid' })
  })
})

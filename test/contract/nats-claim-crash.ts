import t from 'tap'
import { type Broker, claim, ensureClaimBucket } from '../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../helpers/nats-server.js'

const CLAIMERS = 8
const CLAIMS_EACH = 150
/** The server is killed whenever so many more claims were answered. */
const KILL_AFTER = [150, 500, 900]

const nothing = new TextEncoder().encode('{}')

await t.test('claims through kills of the broker', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t)
  const signal = inTime()
  const brokers = await Promise.all(Array.from({ length: CLAIMERS }, () => brokerOf(t, server)))
  const first = brokers[0]!
  await ensureClaimBucket(first, 'CRASH', { signal })

  const take = (by: Broker, key: string) => claim(by, 'CRASH', key, nothing, { id: key, signal, giveUpAfterMs: 20_000 })
  const indexOf = new Map<string, number>()
  const kills: Promise<void>[] = []
  const killWhenDue = () => {
    if (indexOf.size !== KILL_AFTER[kills.length]) return
    kills.push(server.kill().then(() => server.restart()))
  }

  await Promise.all(
    brokers.map(async (by, claimer) => {
      for (let n = 0; n < CLAIMS_EACH; n++) {
        const key = `g${claimer}.${n}`
        indexOf.set(key, (await take(by, key)).index)
        killWhenDue()
      }
    }),
  )
  await Promise.all(kills)

  t.equal(kills.length, KILL_AFTER.length, 'the server was killed in the middle of it')
  const indices = [...indexOf.values()].sort((a, b) => a - b)
  t.same(
    indices,
    Array.from({ length: CLAIMERS * CLAIMS_EACH }, (_, i) => i),
    'every index has one owner and none is missing',
  )

  const repeated = new Map<string, number>()
  for (const [claimer, by] of brokers.entries()) {
    for (let n = 0; n < CLAIMS_EACH; n++) {
      const key = `g${claimer}.${n}`
      const { index, duplicate } = await take(by, key)
      if (!duplicate) t.fail(`${key} was taken anew`)
      repeated.set(key, index)
    }
  }
  t.same(repeated, indexOf, 'every claim repeated after the restarts keeps its index')
})

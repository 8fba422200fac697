import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startDevChain } from '../../src/chain/dev/dev-chain.js'
import { openChain } from '../../src/chain/polkadot.js'
import { watchEvents } from '../helpers/chain-events.js'
import { sharedAbsent, sharedFolder } from '../helpers/shared.js'

// What every Chain promises, asked of the real client over the dev chain, once with its own runtime and once with finney's.

const ALICE = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const never = new AbortController().signal

interface Runtime {
  name: string
  skip: string | false
  metadata?: () => Uint8Array
}

const runtimes: Runtime[] = [
  { name: 'its own metadata', skip: false },
  {
    name: 'the metadata of finney, spec 424',
    skip: sharedAbsent,
    metadata: () => readFileSync(join(sharedFolder, 'data/chain/finney-424.scale')),
  },
]

for (const { name, skip, metadata } of runtimes) {
  await t.test(`the client on a dev chain with ${name}`, { skip }, async t => {
    let now = 1_800_000_000_000
    const dev = await startDevChain({
      register: [ALICE],
      startBlock: 900,
      finalityLag: 4,
      now: () => now,
      ...(metadata ? { metadata: metadata() } : {}),
    })
    const chain = openChain({ endpoints: [dev.url], genesis: dev.genesisHash })
    const events = watchEvents(chain)
    const block = (count?: number) => {
      now += 12_000
      return dev.newBlock(count)
    }
    t.teardown(async () => {
      events.stop()
      await chain.close()
      await dev.close()
    })

    await t.test("'up' comes first, then the current best head with its timestamp", async t => {
      t.same(await events.next('up'), { kind: 'up', endpoint: dev.url })
      t.same(await events.next('best'), { kind: 'best', head: dev.head() })
      t.equal(dev.head().number, 900)
    })

    await t.test('every new block is a best head, unless heads skip numbers', async t => {
      const one = block()
      t.same((await events.next('best')).head, one)
      t.equal(one.number, 901)
      const three = block(3)
      t.same((await events.next('best')).head, three)
      t.equal(three.number, 904)
      t.equal(three.timestampMs, now + 2, 'timestamps grow even within a millisecond')
    })

    await t.test('final blocks follow the best one at some distance', async t => {
      const { number, hash } = await events.next('final', ({ number }) => number >= 900)
      t.equal(hash, dev.hash(number))
      t.equal(await chain.finalized(never), dev.finalized().number)
    })

    await t.test('hash and timestamp of a block, undefined for one that is unknown', async t => {
      t.equal(await chain.hash(901, never), dev.hash(901))
      t.match(await chain.hash(901, never), /^0x[0-9a-f]{64}$/)
      t.equal(await chain.hash(0, never), dev.genesisHash)
      t.equal(await chain.timestamp(901, never), 1_800_000_000_000 + 12_000)
      for (const unknown of [905, 1_000_000, 4_294_967_295]) {
        t.equal(await chain.hash(unknown, never), undefined, `block ${unknown}`)
        t.equal(await chain.timestamp(unknown, never), undefined, `block ${unknown}`)
      }
    })

    await t.test('a reorg shows as a new best head, and hash() tells the new truth', async t => {
      const before = block(2)
      await events.next('best', ({ head }) => head.hash === before.hash)
      const old = dev.hash(before.number - 1)
      const after = dev.reorg(2)
      t.same((await events.next('best')).head, after)
      t.equal(after.number, before.number + 1)
      t.not(await chain.hash(before.number - 1, never), old)
      t.equal(await chain.hash(before.number - 1, never), dev.hash(before.number - 1))
      t.throws(() => dev.reorg(5), RangeError, 'what is final stays')
    })

    await t.test('a reader that comes later starts with the present', async t => {
      const late = watchEvents(chain)
      t.same(await late.next('up'), { kind: 'up', endpoint: dev.url })
      t.same((await late.next('best')).head, dev.head())
      t.same((await late.next('final')).number, dev.finalized().number)
      late.stop()
    })

    await t.test('a call can be called off', async t => {
      await t.rejects(chain.hash(901, AbortSignal.abort(new Error('enough'))), { message: 'enough' })
    })

    await t.test('events end with their signal', async t => {
      const end = new AbortController()
      const kinds: string[] = []
      for await (const event of chain.events(end.signal)) {
        kinds.push(event.kind)
        end.abort()
      }
      t.same(kinds, ['up'])
    })

    await t.test('closing ends the events, and calls afterwards say so', async t => {
      const last = watchEvents(chain)
      await last.next('best')
      await chain.close()
      const all: string[] = []
      for await (const event of chain.events(never)) all.push(event.kind)
      t.same(all, [])
      await t.rejects(chain.hash(901, never), { name: 'ChainError', code: 'not-connected', next: 'later' })
      last.stop()
    })
  })
}

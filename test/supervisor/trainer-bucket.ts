import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startDevChain } from '../../src/chain/dev/dev-chain.js'
import { openChain } from '../../src/chain/polkadot.js'
import { loadConfig } from '../../supervisor/config/load.js'
import { chainPerAsk } from '../../supervisor/trainer.js'
import { type AskChain, trainerBucket } from '../../supervisor/trainer-bucket.js'
import { inTime, until } from '../helpers/nats-server.js'
import { tcpProxy } from '../helpers/tcp-proxy.js'

// Where the trainer's checkpoints are read: what uid 0 has committed, asked again each time, remembered while the chain is away.

const ALICE = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const credentials = (letter: string) => `${letter.repeat(32)}${'k'.repeat(32)}${'s'.repeat(64)}`
const QUICK = { stallMs: 5_000, connectMs: 1_000, requestMs: 1_000, random: () => 0 }

t.test("the trainer's bucket is the one uid 0 has committed", async t => {
  const dev = await startDevChain({ startBlock: 900 })
  const proxy = await tcpProxy(dev.port)
  const chain = openChain({ endpoints: [`ws://127.0.0.1:${proxy.port}`], ...QUICK })
  t.teardown(async () => {
    await chain.close()
    await proxy.close()
    await dev.close()
  })
  const file = join(t.testdir(), 'grail.toml')
  writeFileSync(file, '')
  const open = trainerBucket(loadConfig(file, {}), ask => ask(chain.link), { askMs: 10_000, askAgainMs: 1_000 })
  const place = async () => {
    const found = await open(inTime())
    return typeof found === 'string' ? found : found.place
  }

  t.equal(await place(), 'subnet 81 has no trainer: nobody is registered as uid 0')
  dev.register(ALICE)
  dev.newBlock()
  t.equal(await place(), `the trainer ${ALICE} has no read credentials on chain`)
  dev.commit(ALICE, credentials('a'))
  dev.newBlock()
  const first = `https://${'a'.repeat(32)}.r2.cloudflarestorage.com/${'a'.repeat(32)}`
  t.equal(await place(), first, 'named like the account')
  await proxy.kill()
  t.equal(await place(), first, 'known, while the chain is away')
  dev.commit(ALICE, credentials('b'))
  dev.newBlock()
  await proxy.restart()
  // A new connection reads the chain's metadata first, which a busy machine takes a while for.
  await (await chain.link(inTime())).api(inTime())
  t.match(await place(), 'b'.repeat(32), 'and read anew when it is back')
})

t.test('a chain that is away for a moment is asked again, one that stays away is an error', async t => {
  const dev = await startDevChain({ register: [ALICE], commitments: { [ALICE]: credentials('a') } })
  const proxy = await tcpProxy(dev.port)
  const chain = openChain({ endpoints: [`ws://127.0.0.1:${proxy.port}`], ...QUICK })
  t.teardown(async () => {
    await chain.close()
    await proxy.close()
    await dev.close()
  })
  const file = join(t.testdir(), 'grail.toml')
  writeFileSync(file, '')
  let links = 0
  const link = async (signal: AbortSignal) => {
    const found = await chain.link(signal)
    // Lost between the link and the question.
    if (links++ === 0) found.close('a test')
    return found
  }
  const found = await trainerBucket(loadConfig(file, {}), ask => ask(link), { askMs: 20_000 })(inTime())
  t.type(found, 'object')
  t.ok(links > 1)
  await proxy.kill()
  await t.rejects(trainerBucket(loadConfig(file, {}), ask => ask(chain.link), { askMs: 200 })(inTime()), {
    name: 'TimeoutError',
  })
})

t.test('asked over connections of its own it leaves none open, and remembers what it was told', async t => {
  const dev = await startDevChain({ register: [ALICE], commitments: { [ALICE]: credentials('a') } })
  const proxy = await tcpProxy(dev.port)
  t.teardown(async () => {
    await proxy.close()
    await dev.close()
  })
  const file = join(t.testdir(), 'grail.toml')
  writeFileSync(file, `[chain]\nendpoints = ["ws://127.0.0.1:${proxy.port}"]\ngenesis = ""\n`)
  const loaded = loadConfig(file, {})
  const open = trainerBucket(loaded, chainPerAsk(loaded), { askMs: 20_000, askAgainMs: 200 })
  t.type(await open(inTime()), 'object')
  t.equal(proxy.accepted(), 1)
  await until('the connection is closed', () => proxy.connections() === 0 || undefined)
  await proxy.kill()
  t.type(await open(inTime()), 'object', 'known, while the chain is away')
})

t.test('whoever puts the question down does not wait for the chain', async t => {
  const file = join(t.testdir(), 'grail.toml')
  // Nobody listens there.
  writeFileSync(file, '[chain]\nendpoints = ["ws://127.0.0.1:1"]\ngenesis = ""\n')
  const loaded = loadConfig(file, {})
  const end = new AbortController()
  let asked = () => {}
  const isAsked = new Promise<void>(resolve => {
    asked = resolve
  })
  const ask: AskChain = question => {
    asked()
    return chainPerAsk(loaded)(question)
  }
  // By itself it would give up after an hour.
  const open = trainerBucket(loaded, ask, { askMs: 3_600_000 })
  const refused = t.rejects(open(end.signal), /the prefetch was given up/)
  await isAsked
  end.abort(new Error('the prefetch was given up'))
  await refused
})

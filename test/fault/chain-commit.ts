import t, { type Test } from 'tap'
import { commit } from '../../src/chain/commit.js'
import { startDevChain } from '../../src/chain/dev/dev-chain.js'
import { openChain } from '../../src/chain/polkadot.js'
import { readCommitment } from '../../src/chain/reads.js'
import { type RegistrationEvent, watchRegistration } from '../../src/chain/registration.js'
import { hotkeyOf, keyPairOfSeed, ready } from '../../src/wallet/sr25519.js'
import { tcpProxy } from '../helpers/tcp-proxy.js'

// A commitment and a registration while nodes, links and runtimes change under them.

await ready()
const signal = new AbortController().signal
const miner = hotkeyOf(keyPairOfSeed(new Uint8Array(32).fill(1)))
const TEXT = 'c'.repeat(128)
const QUICK = { stallMs: 5_000, connectMs: 3_000, requestMs: 3_000, pingMs: 500, random: () => 0 }

/** A dev chain without a clock behind two proxies; `onSign` happens between signing and submission. */
async function scene(t: Test, onSign: () => void = () => {}) {
  const dev = await startDevChain({ register: [miner.ss58], startBlock: 900 })
  const proxies = [await tcpProxy(dev.port), await tcpProxy(dev.port)] as const
  const chain = openChain({ endpoints: proxies.map(({ port }) => `ws://127.0.0.1:${port}`), ...QUICK })
  t.teardown(async () => {
    await chain.close()
    for (const proxy of proxies) await proxy.close()
    await dev.close()
  })
  const signer = {
    ...miner,
    sign: (message: Uint8Array) => {
      onSign()
      return miner.sign(message)
    },
  }
  const options = { link: chain.link, netuid: 81, signer, text: TEXT, inclusionMs: 3_000, signal }
  const stands = async () => {
    const found = await readCommitment(await chain.link(signal), 81, miner.ss58, { signal })
    return found?.bytes && Buffer.from(found.bytes).toString()
  }
  return { dev, proxies, chain, options, stands }
}

/** Resolves when the pool of the chain holds an extrinsic: the account's next nonce tells. */
async function submitted(chain: Awaited<ReturnType<typeof scene>>['chain']): Promise<void> {
  const { connection } = await chain.link(signal)
  while ((await connection.request('system_accountNextIndex', [miner.ss58])) === 0);
}

await t.test('a runtime upgrade between signing and inclusion: signed anew, for the new runtime', async t => {
  let signatures = 0
  const { dev, options, stands, chain } = await scene(t, () => {
    signatures++
    if (signatures > 1) return
    dev.upgrade()
    dev.newBlock()
  })
  const done = commit(options)
  await submitted(chain)
  dev.newBlock()
  t.equal((await done).outcome, 'committed')
  t.equal(signatures, 2)
  t.equal(await stands(), TEXT)
})

await t.test(
  'a commitment in the very block of an upgrade: its events are read as the old runtime wrote them',
  async t => {
    const { dev, options, stands, chain } = await scene(t)
    const done = commit(options)
    await submitted(chain)
    dev.upgrade()
    dev.newBlock()
    t.equal((await done).outcome, 'committed')
    t.equal(await stands(), TEXT)
  },
)

await t.test('a link that dies after submission: the commitment is found over the other one', async t => {
  const { dev, options, stands, chain, proxies } = await scene(t)
  const done = commit(options)
  await submitted(chain)
  await proxies[0].kill()
  dev.newBlock()
  t.equal((await done).outcome, 'committed')
  t.equal(await stands(), TEXT)
})

await t.test('a link that dies after submission, and the commitment is nowhere: unknown, not failed', async t => {
  const { options, chain, proxies } = await scene(t)
  const done = commit(options)
  await submitted(chain)
  await proxies[0].kill()
  await t.rejects(done, { name: 'ChainError', code: 'not-included', next: 'unknown', message: /connection ended/ })
})

await t.test('a reorg takes the block away: the commitment comes again and stands in the new one', async t => {
  const { dev, options, stands, chain } = await scene(t)
  const done = commit(options)
  await submitted(chain)
  dev.newBlock()
  const { block } = await done
  dev.reorg(1)
  t.equal(await stands(), TEXT)
  const again = await commit(options)
  t.equal(again.outcome, 'unchanged')
  t.ok(again.block >= block)
})

await t.test('the signal ends a commit that waits', async t => {
  const { options, chain } = await scene(t)
  const stop = new AbortController()
  const done = commit({ ...options, signal: stop.signal })
  await submitted(chain)
  stop.abort(new Error('enough'))
  await t.rejects(done, { message: 'enough' })
})

await t.test('a registration is told, its loss is told once, and an outage is neither', async t => {
  const { dev, chain, proxies } = await scene(t)
  const stop = new AbortController()
  const told = watchRegistration({
    link: chain.link,
    secondLink: chain.secondLink,
    netuid: 81,
    ss58: miner.ss58,
    everyMs: 20,
    lookMs: 3_000,
    signal: stop.signal,
  })
  // a busy host may make any look too slow, which is 'unknown' by right
  const next = async (slow = false): Promise<RegistrationEvent> => {
    for (;;) {
      const event = (await told.next()).value as RegistrationEvent
      if (slow || event.kind !== 'unknown') return event
    }
  }
  t.same(await next(), { kind: 'registered', uid: 0 })
  dev.deregister(miner.ss58)
  dev.newBlock()
  t.same(await next(), { kind: 'unregistered' })
  dev.register(miner.ss58)
  dev.newBlock()
  t.same(await next(), { kind: 'registered', uid: 0 })
  for (const proxy of proxies) await proxy.kill()
  t.match(await next(true), { kind: 'unknown', why: /./ })
  for (const proxy of proxies) await proxy.restart()
  t.same(await next(), { kind: 'registered', uid: 0 })
  stop.abort()
  t.same(await told.next(), { done: true, value: undefined })
})

await t.test('a node that alone has lost a registration is not believed', async t => {
  let now = 1_800_000_000_000
  const nodes = await Promise.all(
    [0, 1].map(
      async () => await startDevChain({ startBlock: 900, seed: 'same', register: [miner.ss58], now: () => now }),
    ),
  )
  const [odd, sound] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
  const chain = openChain({ endpoints: [odd.url, sound.url], ...QUICK })
  t.teardown(async () => {
    await chain.close()
    for (const node of nodes) await node.close()
  })
  now += 12_000
  odd.deregister(miner.ss58)
  odd.newBlock()
  sound.newBlock()
  const stop = new AbortController()
  const { link, secondLink } = chain
  const told = watchRegistration({ link, secondLink, netuid: 81, ss58: miner.ss58, everyMs: 20, signal: stop.signal })
  t.same((await told.next()).value, { kind: 'registered', uid: 0 })
  stop.abort()
})

import t, { type Test } from 'tap'
import type { ChainEvent } from '../../src/chain/chain.js'
import { type DevChain, startDevChain } from '../../src/chain/dev/dev-chain.js'
import { type OpenChainOptions, openChain } from '../../src/chain/polkadot.js'
import { type EventWatch, watchEvents } from '../helpers/chain-events.js'
import { type TcpProxy, tcpProxy } from '../helpers/tcp-proxy.js'

// Endpoints and links that fail while the fleet follows the chain. Blocks come two hundred times as fast as the real ones; patience is
// shortened less, for everybody here lives in one process, on a machine that may have other things to do.

const BLOCK_MS = 60
const QUICK = { stallMs: 2_400, connectMs: 4_000, requestMs: 1_500, pingMs: 300, crossCheckMs: 60_000, random: () => 0 }
const never = new AbortController().signal

/** Outages and their ends take seconds each. */
t.setTimeout(120_000)

/** A running dev chain behind `count` proxies, and the client that has them as endpoints. */
async function scene(t: Test, count: number, options: Partial<OpenChainOptions> = {}) {
  const dev = await startDevChain({ startBlock: 900, blockMs: BLOCK_MS })
  const proxies = await Promise.all(Array.from({ length: count }, () => tcpProxy(dev.port)))
  const urls = proxies.map(({ port }) => `ws://127.0.0.1:${port}`)
  const chain = openChain({ endpoints: urls, ...QUICK, ...options })
  const events = watchEvents(chain)
  t.teardown(async () => {
    events.stop()
    await chain.close()
    for (const proxy of proxies) await proxy.close()
    await dev.close()
  })
  return { dev, chain, events, urls, proxies: proxies as [TcpProxy, TcpProxy] }
}

/** Best heads only ever grow: these chains have no reorgs. */
function neverBack(t: Test, events: EventWatch): void {
  const numbers = events.seen.flatMap(event => (event.kind === 'best' ? [event.head.number] : []))
  const backwards = numbers.filter((number, at) => at > 0 && number < (numbers[at - 1] as number))
  t.same(backwards, [], `${numbers.length} best heads never went backwards`)
}

async function goesOn(t: Test, dev: DevChain, events: EventWatch): Promise<void> {
  const number = dev.head().number + 2
  const { head } = await events.next('best', ({ head }) => head.number >= number)
  t.equal(head.hash, dev.hash(head.number), 'the heads are those of the chain')
}

await t.test('an endpoint that is killed is replaced by the other', async t => {
  const { dev, events, urls, proxies } = await scene(t, 2)
  t.equal((await events.next('up')).endpoint, urls[0])
  await events.next('best')
  await proxies[0].kill()
  t.match(await events.next('down'), { endpoint: urls[0], why: /closed/ })
  await events.next('up', ({ endpoint }) => endpoint === urls[1])
  await goesOn(t, dev, events)
  neverBack(t, events)
})

await t.test('a half-open link is noticed without a head or a call, and replaced', async t => {
  const { dev, events, urls, proxies } = await scene(t, 2)
  await events.next('best')
  proxies[0].hole(true)
  t.match(await events.next('down'), { endpoint: urls[0], why: /no answer for/ })
  await events.next('up', ({ endpoint }) => endpoint === urls[1])
  await goesOn(t, dev, events)
  t.notOk(
    events.seen.some(({ kind }) => kind === 'stalled'),
    'before it counts as a stall',
  )
  neverBack(t, events)
})

await t.test('an endpoint that is too slow to answer is replaced', async t => {
  const { dev, events, urls, proxies } = await scene(t, 2, { pingMs: 5_000, requestMs: 500 })
  await events.next('best')
  proxies[0].delay(1_000)
  t.match(await events.next('down'), { endpoint: urls[0], why: /did not answer/ })
  await events.next('up', ({ endpoint }) => endpoint === urls[1])
  await goesOn(t, dev, events)
  neverBack(t, events)
})

await t.test('both endpoints down: calls fail at once, and heads go on when one is back', async t => {
  const { dev, chain, events, urls, proxies } = await scene(t, 2)
  const { head } = await events.next('best')
  for (const proxy of proxies) await proxy.kill()
  await events.next('down', ({ endpoint }) => endpoint === urls[1])
  await t.rejects(chain.hash(head.number, never), { name: 'ChainError', code: 'not-connected', next: 'later' })
  t.ok((await events.next('stalled')).sinceMs >= QUICK.stallMs, 'the outage is told as a stall')
  await proxies[1].restart()
  await events.next('up', ({ endpoint }) => endpoint === urls[1])
  await goesOn(t, dev, events)
  t.equal(await chain.hash(head.number, never), head.hash)
  neverBack(t, events)
})

await t.test('an endpoint that falls behind is dropped for one that does not', async t => {
  // two nodes of one chain: same seed, same clock, hence the same blocks
  let now = 1_800_000_000_000
  const nodes = await Promise.all(
    [0, 1].map(async () => await startDevChain({ startBlock: 900, seed: 'same', now: () => now })),
  )
  const [behind, ahead] = nodes as [DevChain, DevChain]
  t.equal(behind.hash(900), ahead.hash(900))
  const chain = openChain({ endpoints: [behind.url, ahead.url], ...QUICK, crossCheckMs: 200 })
  const events = watchEvents(chain)
  t.teardown(async () => {
    events.stop()
    await chain.close()
    for (const node of nodes) await node.close()
  })
  t.equal((await events.next('up')).endpoint, behind.url)
  for (let block = 0; block < 5; block++) {
    now += 12_000
    if (block === 0) behind.newBlock()
    ahead.newBlock()
  }
  t.match(await events.next('down'), { endpoint: behind.url, why: /^lags: block 90\d, \d behind/ })
  await events.next('up', ({ endpoint }) => endpoint === ahead.url)
  t.equal((await events.next('best', ({ head }) => head.number === 905)).head.hash, ahead.hash(905))
  await ahead.close()
  const refused = await events.next('down', ({ why }) => why.includes('behind the best seen'))
  t.equal(refused.endpoint, behind.url, 'nor is it taken back while it lags')
  for (let block = 0; block < 4; block++) behind.newBlock()
  await events.next('up', ({ endpoint }) => endpoint === behind.url)
  neverBack(t, events)
})

await t.test('when the only node starts over at a lower number, the client follows it after one refusal', async t => {
  const first = await startDevChain({ startBlock: 900 })
  const chain = openChain({ endpoints: [first.url], ...QUICK })
  const events = watchEvents(chain)
  await events.next('best')
  await first.close()
  const second = await startDevChain({ startBlock: 100, port: first.port })
  t.teardown(async () => {
    events.stop()
    await chain.close()
    await second.close()
  })
  await events.next('down', ({ why }) => why.startsWith('lags'))
  t.equal((await events.next('best')).head.number, 100)
})

await t.test('a chain that stands still is told as a stall, and its link is kept', async t => {
  const { dev, events } = await scene(t, 2)
  await events.next('best')
  dev.stall(true)
  t.ok((await events.next('stalled')).sinceMs >= QUICK.stallMs)
  await events.next('stalled')
  const downs = events.seen.filter(({ kind }: ChainEvent) => kind === 'down')
  t.same(downs, [])
  dev.stall(false)
  await goesOn(t, dev, events)
  neverBack(t, events)
})

await t.test('a node whose subscription has died is found out by asking', async t => {
  const { dev, events, urls } = await scene(t, 1)
  await events.next('best')
  dev.announceEvery(1_000_000)
  t.match(await events.next('down'), { endpoint: urls[0], why: /was not announced/ })
})

await t.test('a chain with another genesis or runtime is refused with what to correct', async t => {
  const dev = await startDevChain()
  t.teardown(async () => await dev.close())
  const cases: [Partial<OpenChainOptions>, RegExp][] = [
    [{ genesis: `0x${'12'.repeat(32)}` }, /has genesis 0x.*chain\.genesis/],
    [{ specName: 'polkadot' }, /runs node-subtensor, not polkadot/],
  ]
  for (const [options, message] of cases) {
    const chain = openChain({ endpoints: [dev.url], ...QUICK, ...options })
    await t.rejects(chain.link(never), { name: 'ChainError', code: 'other-chain', next: 'never', message })
    await chain.close()
  }
})

await t.test('who has no time for the metadata does not wait for it, and it comes for others', async t => {
  const { chain, events, proxies } = await scene(t, 1, { pingMs: 60_000, requestMs: 60_000, stallMs: 60_000 })
  await events.next('best')
  const link = await chain.link(never)
  proxies[0].delay(500)
  const enough = new AbortController()
  const asked = link.api(enough.signal)
  enough.abort(new Error('enough'))
  await t.rejects(asked, { message: 'enough' })
  t.ok((await link.api(never)).isConnected)
})

await t.test('an endpoint that does not speak JSON-RPC, or nothing at all, is a reason like any other', async t => {
  const chain = openChain({ endpoints: ['ws://127.0.0.1:1'], ...QUICK })
  const events = watchEvents(chain)
  t.match((await events.next('down')).why, /cannot be reached: .*ECONNREFUSED/)
  events.stop()
  await chain.close()
  t.throws(() => openChain({ endpoints: [] }), { message: /no chain endpoint/ })
})

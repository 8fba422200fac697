import t, { type Test } from 'tap'
import { type DevChain, startDevChain } from '../../src/chain/dev/dev-chain.js'
import { openChain } from '../../src/chain/polkadot.js'
import { readUid } from '../../src/chain/reads.js'
import { windowEnd, windowOf } from '../../src/window/block.js'
import { type EventWatch, watchEvents } from '../helpers/chain-events.js'
import { tcpProxy } from '../helpers/tcp-proxy.js'

// What the chain does to a window, and what the client tells of it: the hash of W is the truth at every moment, and the
// final one never changes.

const signal = new AbortController().signal
const ALICE = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const W = 930
const QUICK = { stallMs: 2_400, connectMs: 4_000, requestMs: 1_500, pingMs: 300, random: () => 0 }

/** A chain whose clock is ours, 12 s a block, at block `start`. */
async function scene(t: Test, { start = W - 2, finalityLag = 8 } = {}) {
  let now = 1_800_000_000_000
  const dev = await startDevChain({ startBlock: start, finalityLag, register: [ALICE], now: () => now })
  const chain = openChain({ endpoints: [dev.url], ...QUICK })
  const events = watchEvents(chain)
  t.teardown(async () => {
    events.stop()
    await chain.close()
    await dev.close()
  })
  const to = async (number: number) => {
    while (dev.head().number < number) {
      now += 12_000
      dev.newBlock()
    }
    await arrive(events, dev)
  }
  await arrive(events, dev)
  return { dev, chain, events, to }
}

async function arrive(events: EventWatch, dev: DevChain): Promise<void> {
  const { hash } = dev.head()
  await events.next('best', ({ head }) => head.hash === hash)
}

/** Where the best block is when it happens, and the block that changes. */
const cases: [title: string, best: number, changed: number, hashOfWChanges: boolean][] = [
  ['a reorg of W−1, seen at W', W, W - 1, true],
  ['a reorg of W, seen at once', W, W, true],
  ['a reorg of W, seen at W+5', W + 5, W, true],
  ['a reorg of W+1, seen at W+5', W + 5, W + 1, false],
  ['a reorg of W+5', W + 5, W + 5, false],
]

for (const [title, at, changed, hashOfWChanges] of cases) {
  await t.test(`${title}: hash(W) ${hashOfWChanges ? 'is another one' : 'stays'}`, async t => {
    const { dev, chain, events, to } = await scene(t)
    await to(at)
    const before = await chain.hash(W, signal)
    t.equal(before, dev.hash(W))
    const heads = events.seen.length
    dev.reorg(at - changed + 1)
    await arrive(events, dev)
    t.equal(windowOf(dev.head().number), W)
    const after = await chain.hash(W, signal)
    t.equal(after, dev.hash(W), 'the client tells what the chain says')
    t.equal(after !== before, hashOfWChanges)
    const announced = events.seen.slice(heads).filter(({ kind }) => kind === 'best')
    t.match(announced, [{ kind: 'best', head: dev.head() }], 'a best head announced it')
    await to(windowEnd(W))
    const final = await events.next('final', ({ number }) => number >= W)
    t.equal(final.hash, dev.hash(final.number))
    t.equal(await chain.hash(W, signal), after, 'once W is final its hash is the one that was told last')
    t.equal(await chain.timestamp(windowEnd(W), signal), dev.head().timestampMs, 'and W+30 decides the deadline')
  })
}

await t.test('heads that skip W: the first one at or after W opens the window, and W has its hash', async t => {
  const { dev, chain, events } = await scene(t)
  dev.newBlock(5)
  const { head } = await events.next('best', ({ head }) => head.number >= W)
  t.equal(head.number, W + 3)
  t.equal(await chain.hash(windowOf(head.number), signal), dev.hash(W))
})

await t.test('a stall at the boundary: told, nothing invented, and W comes when the chain goes on', async t => {
  const { dev, chain, events, to } = await scene(t, { start: W - 1 })
  t.ok((await events.next('stalled')).sinceMs >= QUICK.stallMs)
  t.equal(await chain.hash(W, signal), undefined)
  t.notOk(events.seen.some(event => event.kind === 'best' && event.head.number >= W))
  await to(W)
  t.equal(await chain.hash(W, signal), dev.hash(W))
})

await t.test('finality that stands still: best heads go on, and final() says how far it is', async t => {
  const { dev, chain, events, to } = await scene(t)
  dev.setFinalityLag(1_000)
  const final = await chain.finalized(signal)
  await to(W + 20)
  t.equal(await chain.finalized(signal), final)
  t.ok(dev.head().number - final > 20)
  dev.setFinalityLag(2)
  await events.next('final', ({ number }) => number === W + 18)
  t.equal(await chain.finalized(signal), W + 18)
})

await t.test('a runtime upgrade in mid-window: heads go on, and reads use the new metadata', async t => {
  const { dev, chain, events, to } = await scene(t)
  const link = await chain.link(signal)
  const indexOf = async () => (await link.api(signal)).tx.commitments!.setCommitment!.callIndex
  t.equal(chain.status().specVersion, 424)
  t.same(await indexOf(), [18, 0])
  await to(W + 3)
  dev.upgrade()
  await to(W + 6)
  t.equal(chain.status().specVersion, 425)
  t.same(await indexOf(), [19, 0], 'the pallet has moved, and the client with it')
  t.equal(await readUid(link, 81, ALICE, { signal }), 0)
  t.equal(await chain.hash(W, signal), dev.hash(W))
  t.notOk(
    events.seen.some(({ kind }) => kind === 'down'),
    'over the same connection',
  )
})

await t.test('a link lost in mid-window and back after W+30: the client goes on where the chain is', async t => {
  let now = 1_800_000_000_000
  const dev = await startDevChain({ startBlock: W + 3, now: () => now })
  const proxy = await tcpProxy(dev.port)
  const chain = openChain({ endpoints: [`ws://127.0.0.1:${proxy.port}`], ...QUICK })
  const events = watchEvents(chain)
  t.teardown(async () => {
    events.stop()
    await chain.close()
    await proxy.close()
    await dev.close()
  })
  await arrive(events, dev)
  await proxy.kill()
  await events.next('down')
  for (let block = 0; block < 30; block++) {
    now += 12_000
    dev.newBlock()
  }
  await proxy.restart()
  await arrive(events, dev)
  t.equal(windowOf(dev.head().number), windowEnd(W))
  t.equal(await chain.hash(windowEnd(W), signal), dev.hash(windowEnd(W)))
})

await t.test('a final hash is the word of the node that is asked, not of the one before it', async t => {
  // Two nodes of one chain, on different forks of W; only the first is so far that W is final.
  let now = 1_800_000_000_000
  const nodes = await Promise.all(
    [2, 1_000].map(finalityLag => startDevChain({ startBlock: W - 2, seed: 'same', finalityLag, now: () => now })),
  )
  const [first, second] = nodes as [DevChain, DevChain]
  const proxy = await tcpProxy(first.port)
  const chain = openChain({ endpoints: [`ws://127.0.0.1:${proxy.port}`, second.url], ...QUICK })
  const events = watchEvents(chain)
  t.teardown(async () => {
    events.stop()
    await chain.close()
    await proxy.close()
    for (const node of nodes) await node.close()
  })
  await events.next('up')
  t.equal(await chain.finalHash(W, signal), undefined, 'not before the block is there')
  for (let block = 0; block < 8; block++) {
    now += 12_000
    first.newBlock()
    second.newBlock()
  }
  second.reorg(second.head().number - W + 1)
  await events.next('final', ({ number }) => number >= W)
  t.equal(await chain.finalHash(W, signal), first.hash(W))
  await proxy.kill()
  await events.next('up', ({ endpoint }) => endpoint === second.url)
  t.equal(await chain.hash(W, signal), second.hash(W))
  t.not(second.hash(W), first.hash(W))
  t.equal(await chain.finalHash(W, signal), undefined, 'the second node may still take its W back')
  second.setFinalityLag(2)
  t.equal(await chain.finalHash(W, signal), second.hash(W))
})

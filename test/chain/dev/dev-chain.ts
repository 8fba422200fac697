import { blake2AsHex } from '@polkadot/util-crypto'
import t, { type Test } from 'tap'
import { type DevChainOptions, startDevChain } from '../../../src/chain/dev/dev-chain.js'
import { ready, ss58Of } from '../../../src/wallet/sr25519.js'
import { rpcClient } from '../../helpers/rpc-client.js'

// The dev chain as a node: what its RPC answers, what its controls do, what it refuses.

await ready()
const ALICE = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'

async function scene(t: Test, options: DevChainOptions = {}) {
  const dev = await startDevChain({ register: [ALICE], startBlock: 900, finalityLag: 3, ...options })
  const rpc = await rpcClient(dev.url)
  t.teardown(async () => {
    rpc.close()
    await dev.close()
  })
  return { dev, rpc }
}

await t.test('the hash of a header is the blake2-256 of its SCALE bytes', async t => {
  const { dev, rpc } = await scene(t)
  const header = (await rpc.call('chain_getHeader')).result as Record<string, string>
  const hex = (name: string) => (header[name] as string).slice(2)
  // compact 900: two-byte mode, (900 << 2) | 1, little endian; then no digest items
  const bytes = `0x${hex('parentHash')}110e${hex('stateRoot')}${hex('extrinsicsRoot')}00`
  t.equal(blake2AsHex(Buffer.from(bytes.slice(2), 'hex'), 256), dev.head().hash)
  t.equal(header.number, '0x384')
  t.equal(dev.hash(899), header.parentHash)
})

await t.test('the same seed and clock give the same chain, another seed another one', async t => {
  const now = () => 1_800_000_000_000
  const chains = await Promise.all(['a', 'a', 'b'].map(async seed => (await scene(t, { seed, now })).dev))
  const [one, same, other] = chains.map(({ genesisHash, head }) => [genesisHash, head().hash])
  t.same(one, same)
  t.not(one?.[0], other?.[0])
  t.not(one?.[1], other?.[1])
})

await t.test(
  'the start: the best block is the one asked for, some before it are final, older ones never existed',
  async t => {
    const { dev } = await scene(t)
    t.equal(dev.head().number, 900)
    t.equal(dev.finalized().number, 897)
    t.equal(dev.hash(896), undefined)
    t.equal(dev.hash(0), dev.genesisHash)
  },
)

await t.test('what a node does not know, and what it cannot do', async t => {
  const { rpc } = await scene(t)
  const nowhere = `0x${'12'.repeat(32)}`
  t.same(await rpc.call('chain_getBlockHash', 5_000), { jsonrpc: '2.0', id: 1, result: null })
  const cases: [method: string, params: unknown[], code: number][] = [
    ['state_getStorage', ['0x00', nowhere], 4003],
    ['state_getStorage', ['no hex'], -32602],
    ['chain_getBlockHash', [-1], -32602],
    ['state_call', ['Core_version', '0x'], -32000],
    ['author_submitExtrinsic', ['0x00'], 1002],
    ['dev_reorg', [4], -32000],
    ['dev_register', ['nobody'], -32000],
    ['__proto__', [], -32601],
    ['state_getPairs', [], -32601],
  ]
  for (const [method, params, code] of cases) t.equal((await rpc.call(method, ...params)).error?.code, code, method)
  for (const garbage of ['{', '[]', '{"id":{}}', '42']) {
    rpc.send(garbage)
    t.match(await rpc.next(), { id: null, error: { code: -32600 } }, garbage)
  }
  t.ok((await rpc.call('chain_getHeader')).result, 'and it goes on')
})

await t.test('every control of the process is a method of the RPC', async t => {
  const { dev, rpc } = await scene(t)
  const control = async (method: string, ...params: unknown[]) => (await rpc.call(method, ...params)).result
  t.equal(await control('dev_newBlock', 2), dev.head().hash)
  t.equal(dev.head().number, 902)
  t.equal(await control('dev_reorg', 1), dev.head().hash)
  t.equal(dev.head().number, 903)
  const other = ss58Of(new Uint8Array(32).fill(9))
  t.equal(await control('dev_register', other), 904, 'takes effect in the next block')
  await control('dev_commit', ALICE, 'x'.repeat(128))
  await control('dev_upgrade')
  await control('dev_newBlock')
  t.match(await control('state_getRuntimeVersion'), { specVersion: 425 })
  t.match(await control('state_getRuntimeVersion', dev.hash(903)), { specVersion: 424 })
  await control('dev_setFinalityLag', 0)
  t.equal(dev.finalized().number, 904)
  await control('dev_deregister', other)
  await control('dev_newBlock')
  await control('dev_setBlockTime', 20)
  await rpc.call('chain_subscribeNewHeads')
  t.equal((await rpc.next()).params?.result !== undefined, true, 'the current head')
  t.equal((await rpc.next()).method, 'chain_newHead', 'and one the clock has built')
  await control('dev_stall', true)
  const { number } = dev.head()
  await control('dev_announceEvery', 10)
  t.equal(dev.head().number, number)
})

await t.test('a silenced connection stays open and says nothing more; the caller and new ones are served', async t => {
  const { dev, rpc } = await scene(t)
  const other = await rpcClient(dev.url)
  t.teardown(() => other.close())
  await other.call('chain_subscribeNewHeads')
  await other.next()
  await rpc.call('dev_silence')
  dev.newBlock()
  const silent = Promise.race([other.next(), other.closed, other.call('system_chain')])
  const third = await rpcClient(dev.url)
  t.teardown(() => third.close())
  t.match(await third.call('system_chain'), { result: 'Bittensor dev chain' })
  t.match(await rpc.call('system_chain'), { result: 'Bittensor dev chain' })
  t.equal(await Promise.race([silent, 'nothing']), 'nothing')
})

await t.test('a storage subscription tells only what has changed', async t => {
  const { dev, rpc } = await scene(t)
  const key = '0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb'
  const never = `0x${'00'.repeat(32)}`
  const { result } = await rpc.call('state_subscribeStorage', [key, never])
  const first = (await rpc.next()).params as { result: { changes: unknown[][] } }
  t.equal(first.result.changes.length, 2)
  dev.newBlock()
  const { params } = await rpc.next()
  t.match(params, { subscription: result, result: { block: dev.head().hash, changes: [[key, /^0x/]] } })
  t.same(await rpc.call('state_unsubscribeStorage', result), { jsonrpc: '2.0', id: 2, result: true })
  t.same(await rpc.call('state_unsubscribeStorage', result), { jsonrpc: '2.0', id: 3, result: false })
})

await t.test('a taken port is an error, and leaves nothing running', async t => {
  const { dev } = await scene(t)
  await t.rejects(startDevChain({ port: dev.port, blockMs: 20 }), { code: 'EADDRINUSE' })
})

await t.test('metadata that is none, or of another chain, is refused', async t => {
  await t.rejects(startDevChain({ metadata: Buffer.from('meta') }), { message: /^not the SCALE metadata of a runtime/ })
  await t.rejects(startDevChain({ metadata: new Uint8Array() }), { message: /is it of a subtensor runtime\?/ })
})

import t from 'tap'
import { finalHashAt, hashAt, readHeader } from '../../src/chain/head.js'
import type { RpcConnection } from '../../src/chain/rpc-connection.js'

// What nodes and libraries answer when they do not know, and what is no header.

const HASH = `0x${'ab'.repeat(32)}`
const answering = (answers: Record<string, unknown>) =>
  ({ request: async (method: string) => answers[method] }) as unknown as RpcConnection

t.test('an unknown block has no hash: nodes say null, some all zeros', async t => {
  for (const unknown of [null, undefined, `0x${'00'.repeat(32)}`, '0x'])
    t.equal(await hashAt(answering({ chain_getBlockHash: unknown }), 900), undefined, String(unknown))
  t.equal(await hashAt(answering({ chain_getBlockHash: HASH.toUpperCase().replace('0X', '0x') }), 900), HASH)
})

t.test('a hash is final when the newest final block is not below it', async t => {
  const header = { number: '0x384', parentHash: HASH, stateRoot: HASH, extrinsicsRoot: HASH, digest: { logs: [] } }
  const node = answering({ chain_getFinalizedHead: HASH, chain_getHeader: header, chain_getBlockHash: HASH })
  t.equal(await finalHashAt(node, 900), HASH)
  t.equal(await finalHashAt(node, 899), HASH)
  t.equal(await finalHashAt(node, 901), undefined)
})

t.test('what is no header is refused', async t => {
  for (const json of [null, 'x', {}, { number: 'x' }, { number: 900 }])
    t.throws(() => readHeader(json), { name: 'ChainError', code: 'rpc', next: 'later' }, JSON.stringify(json))
})

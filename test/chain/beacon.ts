import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { beaconOf } from '../../src/chain/beacon.js'
import { startDevChain } from '../../src/chain/dev/dev-chain.js'
import { openChain, type PolkadotChain } from '../../src/chain/polkadot.js'
import { QUICKNET } from '../../src/protocol/drand.js'

const signal = new AbortController().signal
const HASH = `0x${'ab'.repeat(32)}`
const SIGNATURE = '0123456789abcdef'.repeat(6)
const PULSE = {
  round: 7,
  signature: SIGNATURE,
  randomness: createHash('sha256').update(Buffer.from(SIGNATURE, 'hex')).digest('hex'),
}
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/** A drand server that gives this answer; undefined never answers. */
async function base(t: Test, answer: { status?: number; body: unknown } | undefined) {
  const asked: (string | undefined)[] = []
  const server = createServer((request, response) => {
    asked.push(request.url)
    if (answer) response.writeHead(answer.status ?? 200).end(JSON.stringify(answer.body))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

await t.test("drand's latest round comes first: sha256 over the texts of hash and randomness", async t => {
  const { url, asked } = await base(t, { body: PULSE })
  t.same(await beaconOf(HASH, { bases: [`${url}/`], signal }), {
    randomness: sha256(HASH + PULSE.randomness),
    source: 'drand',
    round: 7,
    passedOver: [],
  })
  t.same(asked, [`/${QUICKNET.hash}/public/latest`])
})

await t.test('a base that fails or is silent does not keep the next from answering', async t => {
  const good = await base(t, { body: PULSE })
  const bad = [
    await base(t, { status: 500, body: {} }),
    await base(t, { body: { ...PULSE, randomness: '0x12' } }),
    await base(t, { body: { ...PULSE, randomness: '00'.repeat(32) } }),
    await base(t, undefined),
  ]
  for (const { url } of bad) {
    t.match(await beaconOf(HASH, { bases: [url, good.url], signal }), { source: 'drand', round: 7 })
  }
})

/** A new connection reads the chain's metadata first, for which a busy machine takes longer than a pulse may. */
async function metadataRead(chain: PolkadotChain): Promise<void> {
  await (await chain.link(signal)).api(signal)
}

await t.test("without drand the chain's own newest pulse, and without that the hash alone", async t => {
  const dev = await startDevChain()
  const chain = openChain({ endpoints: [dev.url] })
  t.teardown(async () => {
    await chain.close()
    await dev.close()
  })
  await metadataRead(chain)
  const silent = await base(t, undefined)
  const failing = await base(t, { status: 503, body: {} })
  const onChain = await beaconOf(HASH, { bases: [silent.url, failing.url], link: chain.link, drandMs: 100, signal })
  t.match(onChain, { source: 'chain', randomness: /^[0-9a-f]{64}$/, passedOver: [/^drand: .*aborted|timeout/i] })
  t.not(onChain.randomness, sha256(HASH))
  t.equal(Math.floor((dev.head().timestampMs / 1000 - QUICKNET.genesisTime) / QUICKNET.period) + 1, onChain.round)

  const early = await startDevChain({ now: () => 1_600_000_000_000 })
  const old = openChain({ endpoints: [early.url] })
  t.teardown(async () => {
    await old.close()
    await early.close()
  })
  await metadataRead(old)
  t.same(await beaconOf(HASH, { bases: [], link: old.link, signal }), {
    randomness: sha256(HASH),
    source: 'hash',
    round: undefined,
    passedOver: ['chain: nothing there'],
  })
  t.match(await beaconOf(HASH, { bases: [], signal }), { source: 'hash', passedOver: [] })
})

await t.test('only the signal makes it fail', async t => {
  const { url } = await base(t, undefined)
  const stop = new AbortController()
  const asked = beaconOf(HASH, { bases: [url], signal: stop.signal })
  stop.abort(new Error('enough'))
  await t.rejects(asked, { message: 'enough' })
})

await t.test(
  'drand has 2 s, and so have the pulses; whatever the source, it is 64 hex characters without 0x',
  async t => {
    const dev = await startDevChain()
    const chain = openChain({ endpoints: [dev.url] })
    t.teardown(async () => {
      await chain.close()
      await dev.close()
    })
    await metadataRead(chain)
    const { url } = await base(t, { body: PULSE })
    const limits = t.capture(AbortSignal, 'timeout', AbortSignal.timeout)
    const found = [
      await beaconOf(HASH, { bases: [url], signal }),
      await beaconOf(HASH, { bases: [], link: chain.link, signal }),
      await beaconOf(HASH, { bases: [], signal }),
    ]
    t.same(
      limits().map(({ args }) => args),
      [[2_000], [2_000]],
    )
    t.same(
      found.map(({ source }) => source),
      ['drand', 'chain', 'hash'],
    )
    for (const { source, randomness } of found) t.match(randomness, /^[0-9a-f]{64}$/, source)
  },
)

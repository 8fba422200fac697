import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { commit } from '../../src/chain/commit.js'
import { startDevChain } from '../../src/chain/dev/dev-chain.js'
import { openChain, type PolkadotChain } from '../../src/chain/polkadot.js'
import {
  readCommitment,
  readHotkey,
  readLatestPulse,
  readMetagraph,
  readNeurons,
  readUid,
  readUsedSpace,
} from '../../src/chain/reads.js'
import { hotkeyOf, keyPairOfSeed, ready } from '../../src/wallet/sr25519.js'
import { sharedAbsent, sharedFolder } from '../helpers/shared.js'

// Reading the subnet and committing read credentials, over the dev chain with its own runtime and with finney's.

await ready()
const signal = new AbortController().signal
const ALICE = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const miner = hotkeyOf(keyPairOfSeed(new Uint8Array(32).fill(1)))
const stranger = hotkeyOf(keyPairOfSeed(new Uint8Array(32).fill(2)))
const text = (letter: string) => letter.repeat(128)

const runtimes = [
  { name: 'its own metadata', skip: false as const, metadata: undefined },
  {
    name: 'the metadata of finney, spec 424',
    skip: sharedAbsent,
    metadata: () => readFileSync(join(sharedFolder, 'data/chain/finney-424.scale')),
  },
]

for (const { name, skip, metadata } of runtimes) {
  await t.test(`on a dev chain with ${name}`, { skip }, async t => {
    const dev = await startDevChain({
      register: [ALICE, miner.ss58],
      commitments: { [ALICE]: text('t') },
      // Budgets begin anew at block 1,001 and 361 blocks later: none in this test.
      startBlock: 1_001,
      blockMs: 50,
      ...(metadata ? { metadata: metadata() } : {}),
    })
    const chain: PolkadotChain = openChain({ endpoints: [dev.url] })
    t.teardown(async () => {
      await chain.close()
      await dev.close()
    })
    const link = await chain.link(signal)
    const options = { link: chain.link, netuid: 81, signer: miner, text: text('a'), inclusionMs: 5_000, signal }

    await t.test('uids and hotkeys lead to each other', async t => {
      t.equal(await readUid(link, 81, ALICE, { signal }), 0)
      t.equal(await readUid(link, 81, miner.ss58, { signal }), 1)
      t.equal(await readUid(link, 81, stranger.ss58, { signal }), undefined)
      t.equal(await readUid(link, 82, ALICE, { signal }), undefined, 'another subnet')
      t.equal(await readHotkey(link, 81, 1, { signal }), miner.ss58)
      t.equal(await readHotkey(link, 81, 2, { signal }), undefined)
    })

    await t.test('neurons and metagraph come from the runtime APIs', async t => {
      const neurons = await readNeurons(link, 81, signal)
      t.match(neurons, [
        { uid: 0, hotkey: ALICE, active: true, validatorPermit: false, incentive: 0, stake: 0n },
        { uid: 1, hotkey: miner.ss58 },
      ])
      t.equal(neurons.length, 2)
      const metagraph = await readMetagraph(link, 81, signal)
      t.match(metagraph, { netuid: 81, tempo: 360, neurons: 2, maxNeurons: 256, hotkeys: [ALICE, miner.ss58] })
      t.equal(await readMetagraph(link, 82, signal), undefined)
      t.same(await readNeurons(link, 82, signal), [])
    })

    await t.test("the trainer's commitment can be read", async t => {
      const found = await readCommitment(link, 81, ALICE, { signal })
      t.equal(Buffer.from(found?.bytes ?? []).toString(), text('t'))
      t.equal(await readCommitment(link, 81, miner.ss58, { signal }), undefined)
    })

    await t.test('the newest drand pulse is on chain', async t => {
      const { hash, timestampMs } = dev.head()
      const pulse = await readLatestPulse(link, { signal, at: hash })
      t.match(pulse?.randomness, /^[0-9a-f]{64}$/)
      t.equal(pulse?.round, Math.floor((timestampMs / 1000 - 1_692_803_367) / 3) + 1)
    })

    await t.test('a commitment is made once, and again only when it differs', async t => {
      const first = await commit(options)
      t.match(first, { outcome: 'committed', uid: 1 })
      const stored = await readCommitment(link, 81, miner.ss58, { signal })
      t.equal(Buffer.from(stored?.bytes ?? []).toString(), text('a'))
      t.equal(stored?.block, first.block)
      t.same(await commit(options), { ...first, outcome: 'unchanged' })
      t.same(await readUsedSpace(link, 81, miner.ss58, { signal }), { used: 128, max: 3_100 })
      const second = await commit({ ...options, text: text('b') })
      t.equal(second.outcome, 'committed')
      t.ok(second.block > first.block)
    })

    await t.test('a hotkey that is not registered is told the command that registers it', async t => {
      await t.rejects(commit({ ...options, signer: stranger }), {
        code: 'not-registered',
        next: 'never',
        message: /btcli subnet register --netuid 81/,
      })
    })

    await t.test('a hotkey that loses its place before the block is told the same by the runtime', async t => {
      dev.setBlockTime(0)
      const late = {
        ...options,
        text: text('c'),
        signer: {
          ...miner,
          sign: (message: Uint8Array) => {
            // takes effect in the very block that would include the commitment
            dev.deregister(miner.ss58)
            setImmediate(() => dev.setBlockTime(50))
            return miner.sign(message)
          },
        },
      }
      await t.rejects(commit(late), { code: 'not-registered' })
      dev.register(miner.ss58)
      const block = dev.newBlock()
      t.equal(await readUid(link, 81, miner.ss58, { signal, at: block.hash }), 1)
    })

    await t.test('only the bytes of an epoch are taken: the 25th commitment of 128 bytes is refused', async t => {
      const { used } = (await readUsedSpace(link, 81, miner.ss58, { signal })) ?? { used: 0 }
      for (let letter = 0; used + 128 * (letter + 1) <= 3_100; letter++) {
        dev.commit(miner.ss58, text(String.fromCharCode(65 + letter)))
      }
      dev.newBlock()
      await t.rejects(commit(options), { code: 'space-limit', next: 'later' })
    })

    await t.test('a signature of another key, or a text of another length, gets nowhere', async t => {
      await t.rejects(commit({ ...options, signer: { ...miner, sign: stranger.sign } }), {
        code: 'rejected',
        message: /bad signature/,
      })
      await t.rejects(commit({ ...options, text: 'short' }), RangeError)
    })

    await t.test('a chain that stands still: no word within the limit, and no claim either way', async t => {
      dev.setBlockTime(0)
      await t.rejects(commit({ ...options, text: text('d'), inclusionMs: 200 }), {
        code: 'not-included',
        next: 'unknown',
      })
    })
  })
}

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { u8aToHex } from '@polkadot/util'
import t from 'tap'
import { commit } from '../../src/chain/commit.js'
import { startDevChain } from '../../src/chain/dev/dev-chain.js'
import { openChain } from '../../src/chain/polkadot.js'
import { hotkeyOf, keyPairOfSeed, publicKeyOf, ready } from '../../src/wallet/sr25519.js'
import { sharedAbsent, sharedFolder } from '../helpers/shared.js'

// Encodings against the vectors of the reference, with the dev chain's own metadata and with finney's.

await ready()
const signal = new AbortController().signal
const ALICE = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const miner = hotkeyOf(keyPairOfSeed(new Uint8Array(32).fill(1)))
const vectors = (file: string) => JSON.parse(readFileSync(join(sharedFolder, 'spec/vectors', file), 'utf8'))

await t.test('bytes on chain', { skip: sharedAbsent }, async t => {
  const finney = readFileSync(join(sharedFolder, 'data/chain/finney-424.scale'))
  for (const metadata of [undefined, finney]) {
    await t.test(metadata ? 'with the metadata of finney, spec 424' : 'with its own metadata', async t => {
      const dev = await startDevChain({ register: [miner.ss58], blockMs: 50, ...(metadata ? { metadata } : {}) })
      const chain = openChain({ endpoints: [dev.url] })
      t.teardown(async () => {
        await chain.close()
        await dev.close()
      })
      const link = await chain.link(signal)
      const api = await link.api(signal)

      await t.test('the call commitments.set_commitment', async t => {
        for (const { netuid, text, raw_variant, call_hex, info_hex } of vectors('onchain_set_commitment_scale.json')
          .cases) {
          const bytes = Buffer.from(text)
          const call = api.tx.commitments!.setCommitment!(netuid, { fields: [{ [raw_variant]: bytes }] })
          t.equal(call.method.toHex(), call_hex, `netuid ${netuid}`)
          t.equal(u8aToHex(call.args[1]!.toU8a()), info_hex)
        }
      })

      await t.test('the storage key of a commitment', async t => {
        const key = api.query.commitments!.commitmentOf!.key(81, ALICE)
        const prefix = '0xca407206ec1ab726b2636c4b145ac287419a60ae8b01e6dcaebd7317e43c69bf5100518366b5b1bc7c99'
        t.equal(key, `${prefix}${Buffer.from(publicKeyOf(ALICE)).toString('hex')}`)
      })

      await t.test('a stored commitment is deposit, block, one field of 128 bytes, as the vectors have it', async t => {
        const { cases } = vectors('onchain_commitment_string.json')
        const ascii = cases.filter(({ utf8_len }: { utf8_len?: number }) => utf8_len === 128)
        t.ok(ascii.length >= 3, 'cases to look at')
        for (const { commitment, utf8_hex } of ascii) {
          const { block } = await commit({ link: chain.link, netuid: 81, signer: miner, text: commitment, signal })
          const key = api.query.commitments!.commitmentOf!.key(81, miner.ss58)
          const number = Buffer.alloc(4)
          number.writeUInt32LE(block)
          const value = await link.connection.request('state_getStorage', [key])
          t.equal(value, `0x${'00'.repeat(8)}${number.toString('hex')}0481${utf8_hex}`)
        }
      })
    })
  }
})

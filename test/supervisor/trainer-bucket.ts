import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startDevChain } from '../../src/chain/dev/dev-chain.js'
import { openChain } from '../../src/chain/polkadot.js'
import { loadConfig } from '../../supervisor/config/load.js'
import { trainerBucket } from '../../supervisor/trainer-bucket.js'
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
  const open = trainerBucket(loadConfig(file, {}), chain.link, { askMs: 10_000, askAgainMs: 200 })
  const place = async () => {
    const found = await open()
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
  await chain.link(AbortSignal.timeout(20_000))
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
  const found = await trainerBucket(loadConfig(file, {}), link, { askMs: 20_000 })()
  t.type(found, 'object')
  t.ok(links > 1)
  await proxy.kill()
  await t.rejects(trainerBucket(loadConfig(file, {}), chain.link, { askMs: 200 })(), { name: 'TimeoutError' })
})

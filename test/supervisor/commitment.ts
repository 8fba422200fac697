import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startDevChain } from '../../src/chain/dev/dev-chain.js'
import { openChain } from '../../src/chain/polkadot.js'
import { readCommitment } from '../../src/chain/reads.js'
import { hotkeyOf, keyPairOfSeed, ready } from '../../src/wallet/sr25519.js'
import { keepCommitment } from '../../supervisor/commitment.js'
import { loadConfig } from '../../supervisor/config/load.js'

// The aggregator's host sees to the read credentials by itself: once, when they differ, and as soon as the hotkey has a place.

const ACCOUNT = 'a'.repeat(32)
const SECRET = 's'.repeat(64)
const signal = new AbortController().signal

t.test(
  'read credentials get on chain when the hotkey is registered, and are left alone once they are there',
  async t => {
    await ready()
    const hotkey = hotkeyOf(keyPairOfSeed(new Uint8Array(32).fill(1)))
    const dev = await startDevChain({ startBlock: 900, blockMs: 50 })
    const chain = openChain({ endpoints: [dev.url] })
    t.teardown(async () => {
      await chain.close()
      await dev.close()
    })
    const file = join(t.testdir(), 'grail.toml')
    writeFileSync(
      file,
      `[chain]\nendpoints = ["${dev.url}"]\n[bucket]\nname = "${ACCOUNT}"\naccount_id = "${ACCOUNT}"\nread_access_key_id = "${'k'.repeat(32)}"\n`,
    )
    const loaded = (secret: string) => loadConfig(file, { R2_READ_SECRET_ACCESS_KEY: secret })
    const said: [level: string, facts: Record<string, unknown>, text: string][] = []
    let heard = () => {}
    const say = (level: string) => (facts: object, text: string) => {
      said.push([level, facts as Record<string, unknown>, text])
      heard()
    }
    const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }

    const refused = new Promise<void>(resolve => {
      heard = resolve
    })
    const kept = keepCommitment(loaded(SECRET), hotkey, log, signal, { againMs: 100 })
    await refused
    t.match(said[0], [
      'error',
      { err: { code: 'not-registered', message: /btcli subnet register/ } },
      /^ALARM: read credentials/,
    ])
    dev.register(hotkey.ss58)
    await kept
    const first = said.at(-1)
    t.match(first, ['info', { outcome: 'committed', uid: 0 }, /on chain/])
    const stands = async () => {
      const found = await readCommitment(await chain.link(signal), 81, hotkey.ss58, { signal })
      return Buffer.from(found?.bytes ?? []).toString()
    }
    t.equal(await stands(), `${ACCOUNT}${'k'.repeat(32)}${SECRET}`)

    await keepCommitment(loaded(SECRET), hotkey, log, signal)
    t.match(said.at(-1), ['info', { outcome: 'unchanged', block: first?.[1].block }, /on chain/])
    await keepCommitment(loaded('t'.repeat(64)), hotkey, log, signal)
    t.match(said.at(-1), ['info', { outcome: 'committed' }, /on chain/])
    t.equal(await stands(), `${ACCOUNT}${'k'.repeat(32)}${'t'.repeat(64)}`)
    t.notMatch(JSON.stringify(said), /sssss|ttttt/, 'the log holds no secret')
  },
)

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type DevChain, startDevChain } from '../../src/chain/dev/dev-chain.js'
import { createRehearsalWallet } from '../../src/wallet/wallet.js'
import { chainCommand } from '../../supervisor/commands/chain.js'

const TRAINER = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const signal = new AbortController().signal
const ACCOUNT = '0123456789abcdef0123456789abcdef'

interface Scene {
  dev: DevChain
  ss58: string
  run(
    args: string[],
    scene?: { answer?: boolean; env?: Record<string, string> },
  ): Promise<{
    code: number
    out: string
    err: string
    asked: number
  }>
}

/** A dev chain with the trainer as uid 0, a wallet and an inventory that name each other. */
async function scene(t: Test, registered = true): Promise<Scene> {
  const folder = t.testdir()
  const { ss58 } = await createRehearsalWallet(join(folder, 'wallets'))
  const dev = await startDevChain({
    register: registered ? [TRAINER, ss58] : [TRAINER],
    commitments: { [TRAINER]: `${'f'.repeat(32)}${'k'.repeat(32)}${'s'.repeat(64)}` },
    startBlock: 929,
    blockMs: 50,
  })
  t.teardown(async () => await dev.close())
  const config = join(folder, 'grail.toml')
  writeFileSync(
    config,
    `[chain]\nendpoints = ["${dev.url}"]\ngenesis = "${dev.genesisHash}"\n
[wallet]\npath = "wallets"\ncold = "rehearsal"\nhot = "default"\n
[bucket]\nname = "${ACCOUNT}"\naccount_id = "${ACCOUNT}"\nread_access_key_id = "${'a'.repeat(32)}"\n`,
  )
  const credentials = { R2_READ_SECRET_ACCESS_KEY: 'b'.repeat(64) }
  return {
    dev,
    ss58,
    run: async (args, { answer = false, env = credentials } = {}) => {
      const [out, err]: [string[], string[]] = [[], []]
      let asked = 0
      const io = {
        out: (line: string) => out.push(line),
        err: (line: string) => err.push(line),
        env,
        ask: async () => {
          asked++
          return answer
        },
      }
      const code = await chainCommand([...args, '--config', config], io, signal)
      return { code, out: out.join('\n'), err: err.join('\n'), asked }
    },
  }
}

await t.test('status says where the chain is, and whether the hotkey has a place', async t => {
  const { run, ss58, dev } = await scene(t)
  const { code, out } = await run(['status'])
  t.equal(code, 0)
  t.match(out, `${ss58} has uid 1`)
  t.match(out, /bucket {4}none committed: run "grail chain commit"/)
  t.match(out, `trainer   ${TRAINER}, bucket ${'f'.repeat(32)}`)
  const json = JSON.parse((await run(['status', '--json'])).out)
  t.match(json, { endpoint: dev.url, genesis: dev.genesisHash, spec: 424, netuid: 81, hotkey: ss58, uid: 1 })
  t.ok(json.best >= 929 && json.final < json.best)
  t.equal(json.window, Math.floor(json.best / 30) * 30)
})

await t.test('status of an unregistered hotkey names the command that registers it, and fails', async t => {
  const { run, ss58 } = await scene(t, false)
  const { code, out } = await run(['status'])
  t.equal(code, 1)
  t.match(out, `${ss58} is NOT registered: run 'btcli subnet register --netuid 81'`)
  t.equal((await run(['status', '--hotkey', TRAINER])).code, 0, 'another hotkey can be looked up')
  await t.rejects(run(['status', '--hotkey', 'nobody']), {
    name: 'ConfigError',
    message: '--hotkey nobody: an ss58 address is needed',
  })
})

await t.test('status without a wallet, and with another bucket on chain than the inventory has', async t => {
  const { run, dev, ss58 } = await scene(t)
  const nobody = await run(['status'], { env: { BT_WALLET_HOT: 'none' } })
  t.match(nobody, { code: 0, out: /no wallet is found: set wallet.path/ })
  t.notMatch(nobody.out, /^bucket/m)
  t.match(JSON.parse((await run(['status', '--json'], { env: { BT_WALLET_HOT: 'none' } })).out), {
    hotkey: null,
    uid: null,
    bucket: null,
  })
  dev.commit(ss58, `${'e'.repeat(32)}${'k'.repeat(32)}${'s'.repeat(64)}`)
  dev.newBlock()
  t.match(
    (await run(['status'])).out,
    `bucket    ${'e'.repeat(32)}, but this inventory has ${ACCOUNT}: run "grail chain`,
  )
})

await t.test('neurons lists the subnet', async t => {
  const { run, ss58 } = await scene(t)
  const { code, out } = await run(['neurons'])
  t.equal(code, 0)
  t.equal(out.split('\n').length, 4)
  t.match(out, ss58)
  const json = JSON.parse((await run(['neurons', '--json'])).out)
  t.match(json, {
    netuid: 81,
    neurons: 2,
    rows: [
      { uid: 0, hotkey: TRAINER, stake: '0' },
      { uid: 1, hotkey: ss58 },
    ],
  })
})

await t.test('commit acts only when told to, once, and shows no secret', async t => {
  const { run, ss58 } = await scene(t)
  const dry = await run(['commit', '--dry-run'])
  t.match(dry, { code: 0, asked: 0, out: /^would commit for .*bucket none → 0123456789abcdef/ })
  t.match(await run(['commit']), { code: 1, asked: 1, out: /nothing was committed/ })
  t.match((await run(['status'])).out, /none committed/)
  const done = await run(['commit', '--json'], { answer: true })
  t.match(JSON.parse(done.out), {
    outcome: 'committed',
    hotkey: ss58,
    uid: 1,
    netuid: 81,
    bucket: ACCOUNT,
    before: null,
  })
  t.equal(done.asked, 1)
  t.match(await run(['commit']), { code: 0, asked: 0, out: /has these credentials on chain/ })
  t.match((await run(['status'])).out, `bucket    ${ACCOUNT}`)
  const changed = { R2_READ_SECRET_ACCESS_KEY: 'c'.repeat(64) }
  t.match((await run(['commit', '--dry-run'], { env: changed })).out, /read key aaaa… → aaaa…, a new secret$/)
  t.match(await run(['commit', '--yes'], { env: changed }), { code: 0, asked: 0, out: /^committed in block/ })
  for (const { out, err } of [dry, done]) t.notMatch(`${out}${err}`, /bbbbb/)
})

await t.test('commit refuses what would not work, and says what to do', async t => {
  const { run } = await scene(t)
  await t.rejects(run(['commit'], { env: {} }), {
    name: 'ConfigError',
    message: /^bucket.read_secret_access_key not set: .*R2_READ_SECRET_ACCESS_KEY/,
  })
  await t.rejects(run(['commit'], { env: { R2_READ_SECRET_ACCESS_KEY: 'b', R2_BUCKET_ID: 'other' } }), {
    name: 'ConfigError',
    message: /the bucket is named 'other', but validators look for one named like the account id/,
  })
  await t.rejects((await scene(t, false)).run(['commit', '--yes']), {
    name: 'ChainError',
    message: /not registered on subnet 81: run 'btcli subnet register/,
  })
})

await t.test('wrong use, and a chain of another genesis', async t => {
  const { run } = await scene(t)
  t.match(await run([]), { code: 2, err: /^usage/ })
  t.match(await run(['dance']), { code: 2, err: /^usage/ })
  t.match(await run(['--help']), { code: 0, out: /^usage/ })
  const elsewhere = await startDevChain({ seed: 'elsewhere' })
  t.teardown(async () => await elsewhere.close())
  await t.rejects(run(['status'], { env: { BT_CHAIN_ENDPOINT: elsewhere.url } }), {
    name: 'ChainError',
    code: 'other-chain',
    message: /correct chain.endpoints or chain.genesis/,
  })
  await t.rejects(run(['status'], { env: { BT_CHAIN_ENDPOINT: 'http://127.0.0.1' } }), {
    name: 'ConfigError',
    message: /chain.endpoints.0: an address that begins with wss:\/\/ or ws:\/\//,
  })
})

import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readAddress } from '../../src/wallet/address.js'
import { publicKeyOf, sr25519Verify } from '../../src/wallet/sr25519.js'
import { createRehearsalWallet, hotkeyFile, loadHotkey, WalletError } from '../../src/wallet/wallet.js'
import { keyfileBytes, keyfiles, lay } from '../helpers/keyfiles.js'

const message = new TextEncoder().encode('a message')

for (const form of ['seed', 'phrase', 'private']) {
  await t.test(`a hotkey file with a ${form} gives a key that signs for its address`, async t => {
    const hotkey = await loadHotkey(lay(t.testdir(), form, keyfileBytes(form)))
    t.equal(hotkey.ss58, keyfiles.files[form]!.ss58)
    t.ok(sr25519Verify(message, hotkey.sign(message), publicKeyOf(hotkey.ss58)))
  })
}

await t.test('every form alone is enough: seed, phrase and private key lead to the same key', async t => {
  const whole = JSON.parse(keyfileBytes('phrase').toString())
  for (const kept of ['secretSeed', 'secretPhrase', 'privateKey']) {
    const text = JSON.stringify({ ss58Address: whole.ss58Address, [kept]: whole[kept] })
    t.equal((await loadHotkey(lay(t.testdir(), kept, text))).ss58, whole.ss58Address, kept)
    const nulls = { secretSeed: null, secretPhrase: null, privateKey: null, ...JSON.parse(text) }
    t.equal(
      (await loadHotkey(lay(t.testdir(), kept, JSON.stringify(nulls)))).ss58,
      whole.ss58Address,
      `${kept}, others null`,
    )
  }
})

await t.test('what cannot be used is refused with the remedy, and without the secret', async t => {
  const seed = JSON.parse(keyfileBytes('seed').toString())
  const other = { ...seed, ss58Address: keyfiles.files.private!.ss58 }
  const regenerate = /btcli wallet regen-hotkey --wallet.path \S+ --wallet.name cold --wallet.hotkey \S+/
  const cases: [what: string, content: string | Buffer, problem: string, remedy: RegExp][] = [
    ['a public-only file', keyfileBytes('public'), 'public-only', regenerate],
    ['an empty file', '', 'broken', regenerate],
    ['half a file', keyfileBytes('seed').subarray(0, 150), 'broken', regenerate],
    ['a list', '[]', 'broken', regenerate],
    ['no address', JSON.stringify({ ...seed, ss58Address: undefined }), 'broken', /ss58Address/],
    ['an address that is none', JSON.stringify({ ...seed, ss58Address: 'abc' }), 'broken', regenerate],
    ['a short seed', JSON.stringify({ ...seed, secretSeed: '0x01' }), 'broken', /secretSeed/],
    [
      'a phrase with a wrong word',
      JSON.stringify({ ss58Address: seed.ss58Address, secretPhrase: 'one two' }),
      'broken',
      regenerate,
    ],
    ["another key's address", JSON.stringify(other), 'mismatch', regenerate],
    [
      "another key's address over a private key",
      JSON.stringify({ ...other, secretSeed: null }),
      'mismatch',
      regenerate,
    ],
    ['a legacy Fernet file', 'gAAAAABkc29tZXRoaW5n', 'legacy-encryption', /--no-use-password/],
  ]
  for (const [what, content, problem, remedy] of cases) {
    const error = await loadHotkey(lay(t.testdir(), 'hot', content)).then(
      () => undefined,
      (error: unknown) => error,
    )
    t.ok(error instanceof WalletError, what)
    t.match(error, { problem, message: remedy }, what)
    t.notMatch((error as Error).stack, seed.secretSeed.slice(2, 20), `${what}: no seed in the error`)
    t.notMatch((error as Error).message, '\n', `${what}: one sentence`)
  }
})

await t.test('a hotkey file that others may use is refused with the chmod that mends it', async t => {
  for (const mode of [0o640, 0o604, 0o660, 0o644]) {
    const place = lay(t.testdir(), 'hot', keyfileBytes('seed'), mode)
    await t.rejects(loadHotkey(place), { problem: 'permissions', message: `run chmod 600 ${hotkeyFile(place)}` })
    chmodSync(hotkeyFile(place), 0o600)
    t.ok(await loadHotkey(place))
  }
})

await t.test('a password file that others may read is refused too', async t => {
  const folder = t.testdir({ password: keyfiles.password })
  chmodSync(join(folder, 'password'), 0o644)
  const place = lay(folder, 'ansible', keyfileBytes('ansible'))
  await t.rejects(loadHotkey({ ...place, passwordFile: join(folder, 'password') }), {
    name: 'WalletError',
    problem: 'permissions',
  })
  await t.rejects(loadHotkey({ ...place, passwordFile: join(folder, 'none') }), {
    name: 'WalletError',
    problem: 'absent',
  })
})

await t.test('no file, and names that are paths', async t => {
  const path = t.testdir()
  await t.rejects(loadHotkey({ path, cold: 'c', hot: 'h' }), { problem: 'absent', message: /btcli wallet new-hotkey/ })
  for (const name of ['', '..', 'a/b']) {
    await t.rejects(loadHotkey({ path, cold: name, hot: 'h' }), { name: 'WalletError', problem: 'name' }, `'${name}'`)
    await t.rejects(loadHotkey({ path, cold: 'c', hot: name }), { name: 'WalletError', problem: 'name' }, `'${name}'`)
  }
})

await t.test('a rehearsal wallet is written once, for its owner alone, and loads', async t => {
  const path = join(t.testdir(), 'wallets')
  const { ss58, file } = await createRehearsalWallet(path, { cold: 'reh', hot: 'one' })
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal((await loadHotkey({ path, cold: 'reh', hot: 'one' })).ss58, ss58)
  t.equal(JSON.parse(readFileSync(`${file}pub.txt`, 'utf8')).ss58Address, ss58)
  t.notMatch(readFileSync(`${file}pub.txt`, 'utf8'), /secret/)
  const before = readFileSync(file, 'utf8')
  await t.rejects(createRehearsalWallet(path, { cold: 'reh', hot: 'one' }), { name: 'WalletError', problem: 'exists' })
  t.equal(readFileSync(file, 'utf8'), before)
  writeFileSync(join(path, 'reh/hotkeys/twopub.txt'), '{}')
  await t.rejects(createRehearsalWallet(path, { cold: 'reh', hot: 'two' }), { name: 'WalletError', problem: 'exists' })
  t.notOk(existsSync(join(path, 'reh/hotkeys/two')), 'nothing half-written')
})

await t.test(
  'an address can be looked up without the secret: from the public file, or a hotkey file in the clear',
  async t => {
    const path = t.testdir()
    await createRehearsalWallet(path, { cold: 'cold', hot: 'made' })
    const made = { path, cold: 'cold', hot: 'made' }
    t.equal(await readAddress(made), (await loadHotkey(made)).ss58)
    t.equal(await readAddress(lay(path, 'plain', keyfileBytes('private'), 0o644)), keyfiles.files.private!.ss58)
    t.equal(await readAddress(lay(path, 'nacl', keyfileBytes('nacl'))), undefined)
    t.equal(await readAddress(lay(path, 'bad', '{"ss58Address":"abc"}')), undefined)
    t.equal(await readAddress({ path, cold: 'cold', hot: 'none' }), undefined)
  },
)

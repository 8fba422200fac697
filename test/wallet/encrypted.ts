import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadHotkey } from '../../src/wallet/wallet.js'
import { keyfileBytes, keyfiles, lay } from '../helpers/keyfiles.js'

// argon2 with its real limits: 4 s of an idle core, much more of a busy one
t.setTimeout(280_000)

for (const form of ['nacl', 'ansible']) {
  await t.test(`a ${form} file opens with its password, in a process of its own`, async t => {
    const folder = t.testdir({ password: `${keyfiles.password}\n`, wrong: 'not it' })
    const place = lay(folder, form, keyfileBytes(form))
    chmodSync(join(folder, 'password'), 0o600)
    chmodSync(join(folder, 'wrong'), 0o600)
    const hotkey = await loadHotkey({ ...place, passwordFile: join(folder, 'password') })
    t.equal(hotkey.ss58, keyfiles.files[form]!.ss58)
    await t.rejects(loadHotkey(place), { problem: 'encrypted', message: /HOTKEY_PASSWORD_FILE.*regen-hotkey/ })
    if (form === 'ansible') {
      // argon2 is the same for a wrong password, and slow
      await t.rejects(loadHotkey({ ...place, passwordFile: join(folder, 'wrong') }), {
        name: 'WalletError',
        problem: 'password',
      })
    }
  })
}

import { encryptionOf } from './decrypt.js'
import { decryptApart } from './decrypt-apart.js'
import type { Hotkey } from './hotkey.js'
import { keyPairOfKeyfile } from './keyfile.js'
import { hotkeyFile, type WalletPlace } from './place.js'
import { quote, readPrivateFile } from './private-file.js'
import { hotkeyOf, ready } from './sr25519.js'
import { WalletError } from './wallet-error.js'

export { hotkeyFile, type WalletPlace } from './place.js'
export { createRehearsalWallet } from './rehearsal-wallet.js'
export { WalletError } from './wallet-error.js'

/**
 * Loads the fleet's hotkey from a bittensor wallet: seed, phrase or private key, in the clear or encrypted ($NACL, ansible
 * vault; these need `passwordFile` and a process of their own with 600 MB for some seconds). The key is compared with the
 * file's ss58Address, and others than the owner must have no access to the file. Throws WalletError, whose message is one
 * sentence with the remedy and holds no secret.
 */
export async function loadHotkey(
  options: WalletPlace & {
    /** File with the wallet's password as its only line, mode 600. */
    passwordFile?: string
    signal?: AbortSignal
  },
): Promise<Hotkey> {
  const file = hotkeyFile(options)
  const names = `--wallet.path ${quote(options.path)} --wallet.name ${quote(options.cold)} --wallet.hotkey ${quote(options.hot)}`
  const regenerate = `'btcli wallet regen-hotkey ${names}'`
  const create = `create it with 'btcli wallet new-hotkey ${names}', or for rehearsals with 'grail wallet new'`
  const stored = await readPrivateFile(file, 'hotkey file', create)
  const encryption = encryptionOf(stored)
  if (encryption === 'fernet') {
    throw new WalletError(
      'legacy-encryption',
      `${file} is encrypted in the old Fernet form, which is not supported: write it anew with ${regenerate} and --no-use-password`,
    )
  }
  let clear = stored
  if (encryption !== 'none') {
    if (options.passwordFile === undefined) {
      throw new WalletError(
        'encrypted',
        `${file} is encrypted: name a file with its password (HOTKEY_PASSWORD_FILE), or write it unencrypted with ${regenerate} and --no-use-password`,
      )
    }
    const password = await readPassword(options.passwordFile)
    const opened = await decryptApart({ file: stored, encryption, password }, file, options.signal)
    if (!opened)
      throw new WalletError('password', `the password in ${options.passwordFile} does not open ${file}: correct it`)
    clear = opened
  }
  await ready()
  return hotkeyOf(keyPairOfKeyfile(Buffer.from(clear).toString('utf8'), file, regenerate))
}

async function readPassword(file: string): Promise<string> {
  const bytes = await readPrivateFile(file, 'password file', 'write the password of the hotkey into it, mode 600')
  const password = Buffer.from(bytes)
    .toString('utf8')
    .replace(/\r?\n$/, '')
  if (password === '') throw new WalletError('password', `${file} is empty: write the password of the hotkey into it`)
  return password
}

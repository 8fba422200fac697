import { join } from 'node:path'
import { WalletError } from './wallet-error.js'

/** Where a hotkey lies, in bittensor's layout: `<path>/<cold>/hotkeys/<hot>`. */
export interface WalletPlace {
  /** Folder of the wallets, absolute; bittensor's own default is ~/.bittensor/wallets. */
  path: string
  cold: string
  hot: string
}

/** Path of the hotkey file. Throws WalletError 'name' when a name is empty or a path of its own. */
export function hotkeyFile({ path, cold, hot }: WalletPlace): string {
  for (const name of [cold, hot]) {
    if (name === '' || name === '.' || name === '..' || /[/\\\0]/.test(name)) {
      throw new WalletError(
        'name',
        `'${name}' is not the name of a wallet or hotkey: give the bare name, and the folder as the wallet path`,
      )
    }
  }
  return join(path, cold, 'hotkeys', hot)
}

import { existsSync } from 'node:fs'
import { link, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { bip39Generate, bip39ToMiniSecret } from '@polkadot/wasm-crypto'
import { hotkeyFile } from './place.js'
import { keyPairOfSeed, ready, ss58Of } from './sr25519.js'
import { WalletError } from './wallet-error.js'

/**
 * Writes a new hotkey in bittensor's layout, mode 600, and its public half beside it. For rehearsals: there is no coldkey
 * and nobody wrote the phrase down. Throws WalletError 'exists' rather than overwrite; nothing half-written stays.
 * @param path folder of the wallets; made when absent
 */
export async function createRehearsalWallet(
  path: string,
  { cold = 'rehearsal', hot = 'default' }: { cold?: string; hot?: string } = {},
): Promise<{ ss58: string; file: string }> {
  await ready()
  const file = hotkeyFile({ path, cold, hot })
  const secretPhrase = bip39Generate(12)
  const seed = bip39ToMiniSecret(secretPhrase, '')
  const { publicKey } = keyPairOfSeed(seed)
  const ss58Address = ss58Of(publicKey)
  const open = { accountId: hex(publicKey), publicKey: hex(publicKey), ss58Address }
  for (const name of [file, `${file}pub.txt`]) if (existsSync(name)) throw taken(name)
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  await writeNew(file, JSON.stringify({ ...open, secretPhrase, secretSeed: hex(seed) }), 0o600)
  await writeNew(`${file}pub.txt`, JSON.stringify(open), 0o644)
  return { ss58: ss58Address, file }
}

const taken = (file: string): WalletError =>
  new WalletError('exists', `${file} exists and is not overwritten: choose another name, or move it away`)

const hex = (bytes: Uint8Array): string => `0x${Buffer.from(bytes).toString('hex')}`

/** Whole or not at all: written beside, then linked to its name, which fails when the name is taken. */
async function writeNew(file: string, text: string, mode: number): Promise<void> {
  const draft = `${file}.${process.pid}.new`
  try {
    await writeFile(draft, text, { mode, flag: 'wx' })
    await link(draft, file)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') {
      throw taken(file)
    }
    throw cause
  } finally {
    await rm(draft, { force: true })
  }
}

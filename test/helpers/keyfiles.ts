import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { packageRoot } from '../../src/package-root.js'
import { hotkeyFile, type WalletPlace } from '../../src/wallet/wallet.js'

/** Hotkey files as bittensor-wallet 4.0.1 wrote them; public development keys. */
export const keyfiles: {
  password: string
  signature: { ss58: string; message: string; hex: string }
  files: Record<string, { ss58: string; base64: string }>
} = JSON.parse(readFileSync(join(packageRoot, 'test/wallet/fixtures/btwallet-4.0.1.json'), 'utf8'))

export function keyfileBytes(name: string): Buffer {
  return Buffer.from(keyfiles.files[name]!.base64, 'base64')
}

/** Lays a hotkey file into `path` in bittensor's layout; returns its place. */
export function lay(path: string, hot: string, bytes: Buffer | string, mode = 0o600): WalletPlace {
  const place = { path, cold: 'cold', hot }
  const file = hotkeyFile(place)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, bytes)
  chmodSync(file, mode)
  return place
}

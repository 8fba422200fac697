import { readFile } from 'node:fs/promises'
import * as z from 'zod'
import { hotkeyFile, type WalletPlace } from './place.js'
import { publicKeyOf } from './sr25519.js'

const Public = z.looseObject({ ss58Address: z.string() })

/**
 * Address of a hotkey without its secret: from its public file, else from the hotkey file when that is not encrypted;
 * undefined when neither says. Good enough to look something up by, not to sign for.
 */
export async function readAddress(place: WalletPlace): Promise<string | undefined> {
  const file = hotkeyFile(place)
  for (const candidate of [`${file}pub.txt`, file]) {
    try {
      const { ss58Address } = Public.parse(JSON.parse(await readFile(candidate, 'utf8')))
      publicKeyOf(ss58Address)
      return ss58Address
    } catch {
      // absent, encrypted or damaged: loadHotkey is the one that says so
    }
  }
  return undefined
}

import { strip } from '../../src/protocol/python-text.js'
import {
  parseReadCommitment,
  readCommitmentText,
  requireText,
  setCommitmentCall,
} from '../../src/protocol/read-credentials.js'
import { type Checks, same } from './check.js'
import { compareOrError } from './expect-error.js'

/** The on-chain commitment of a bucket's read credentials. */
export const chainChecks: Checks = {
  'onchain_commitment_string.json': (file, index) => {
    const c = file.cases[index]
    const input: Record<string, unknown> = c.input ?? c
    const run = () => {
      // the reference's model holds the private half too and refuses it as strictly
      if (c.input) for (const [name, value] of Object.entries(input)) requireText(name, value)
      return readCommitmentText({
        accountId: input.account_id as string,
        readAccessKeyId: input.read_access_key_id as string,
        readSecretAccessKey: input.read_secret_access_key as string,
      })
    }
    return compareOrError(c, run, () => {
      const text = run()
      const utf8 = Buffer.from(text, 'utf8')
      const cut = (value: unknown, width: number) => strip([...strip(String(value))].slice(0, width).join(''))
      return (
        same(text, c.commitment) ??
        same([...text].length, c.length_chars ?? 128) ??
        same(utf8.toString('hex'), c.utf8_hex ?? utf8.toString('hex')) ??
        same(utf8.length, c.utf8_len ?? utf8.length) ??
        same(parseReadCommitment(text), {
          accountId: cut(input.account_id, 32),
          readAccessKeyId: cut(input.read_access_key_id, 32),
          readSecretAccessKey: cut(input.read_secret_access_key, 64),
        })
      )
    })
  },

  'onchain_set_commitment_scale.json': (file, index) => {
    const c = file.cases[index]
    const run = () => setCommitmentCall(c.netuid, c.text)
    return compareOrError(c, run, () => {
      const { variant, variantIndex, info, call } = run()
      return (
        same([variant, variantIndex], [c.raw_variant ?? variant, c.variant_index ?? variantIndex]) ??
        same(`0x${info.toString('hex')}`, c.info_hex) ??
        same(`0x${call.toString('hex')}`, c.call_hex)
      )
    })
  },
}

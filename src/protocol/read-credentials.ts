import { strip, utf8 } from './python-text.js'

/** Widths of the three fields of the on-chain text, characters (one-covenant/grail grail/shared/schemas.py:31-42, 54d6342). */
const WIDTHS = { accountId: 32, readAccessKeyId: 32, readSecretAccessKey: 64 } as const
/** Readers ignore a text of any other length. */
const TEXT_LENGTH = 128

/** Longest Raw variant of the commitments pallet, bytes (opentensor/subtensor pallets/commitments/src/types.rs, 14bc6f9). */
const MAX_RAW_BYTES = 128
/** Pallet and call index of Commitments.set_commitment at that commit; live metadata decides. */
const SET_COMMITMENT = [0x12, 0x00] as const

/** What a miner publishes about its bucket. The secret becomes public on chain: it must be a read-only token of one bucket. */
export interface ReadCredentials {
  accountId: string
  readAccessKeyId: string
  readSecretAccessKey: string
}

/**
 * The commitment text: each field trimmed, cut and padded with blanks to 32, 32 and 64 characters
 * (grail/shared/schemas.py:31-42, 54d6342). Throws RangeError for a field that is empty after trimming.
 * Real R2 values are 32, 32 and 64 ASCII characters; other characters make the text too long for the chain.
 */
export function readCommitmentText(credentials: ReadCredentials): string {
  return fieldNames()
    .map(name => {
      const characters = [...requireText(name, credentials[name])].slice(0, WIDTHS[name])
      return characters.join('') + ' '.repeat(WIDTHS[name] - characters.length)
    })
    .join('')
}

/** Reads a commitment text; undefined when it is not exactly 128 characters long (grail/infrastructure/chain_worker.py:94-161, 54d6342). */
export function parseReadCommitment(text: string): ReadCredentials | undefined {
  const characters = [...text]
  if (characters.length !== TEXT_LENGTH) return undefined
  const field = (start: number, width: number) => strip(characters.slice(start, start + width).join(''))
  return {
    accountId: field(0, WIDTHS.accountId),
    readAccessKeyId: field(WIDTHS.accountId, WIDTHS.readAccessKeyId),
    readSecretAccessKey: field(WIDTHS.accountId + WIDTHS.readAccessKeyId, WIDTHS.readSecretAccessKey),
  }
}

/**
 * A credential as the reference accepts it: text that is not empty once trimmed. Returns it trimmed.
 * Throws RangeError that names the field and never holds the value.
 */
export function requireText(name: string, value: unknown): string {
  const text = typeof value === 'string' ? strip(value) : ''
  if (text === '') throw new RangeError(`${name} is missing or empty`)
  return text
}

/** SCALE bytes of a commitment. */
export interface CommitmentCall {
  /** Name of the Data variant, e.g. 'Raw128'. */
  variant: string
  /** Its enum index: length + 1. */
  variantIndex: number
  /** CommitmentInfo { fields: [Raw…] } */
  info: Buffer
  /** The whole call, pallet and call index in front. A cross-check: resolve those from live metadata. */
  call: Buffer
}

/**
 * Commitments.set_commitment(netuid, { fields: [Raw…(text)] }) in SCALE (opentensor/subtensor runtime/src/lib.rs:1622,
 * pallets/commitments/src/lib.rs:205-221, 14bc6f9). Throws RangeError for a netuid beyond u16 and a text over 128 bytes.
 */
export function setCommitmentCall(netuid: number, text: string): CommitmentCall {
  if (!Number.isInteger(netuid) || netuid < 0 || netuid > 0xffff) throw new RangeError(`netuid ${netuid} is no u16`)
  const bytes = utf8(text)
  if (bytes.length > MAX_RAW_BYTES)
    throw new RangeError(`the commitment has ${bytes.length} bytes; the chain takes at most ${MAX_RAW_BYTES}`)
  const variantIndex = bytes.length + 1
  // one field: the compact length 1 is 0x04
  const info = Buffer.concat([Buffer.of(0x04, variantIndex), bytes])
  const head = Buffer.of(...SET_COMMITMENT, netuid & 0xff, netuid >> 8)
  return { variant: `Raw${bytes.length}`, variantIndex, info, call: Buffer.concat([head, info]) }
}

function fieldNames(): (keyof ReadCredentials)[] {
  return ['accountId', 'readAccessKeyId', 'readSecretAccessKey']
}

import { createDecipheriv, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { argon2i } from 'hash-wasm'
import nacl from 'tweetnacl'

// Encrypted hotkey files as bittensor-wallet reads them (opentensor/btwallet src/keyfile.rs, release 4.0.1).

export type Encryption = 'none' | 'nacl' | 'ansible' | 'fernet'

const NACL_MAGIC = '$NACL'
const ANSIBLE_MAGIC = '$ANSIBLE_VAULT'
/** Every Fernet token starts with the version byte 0x80 and a time below 2^40, which is this in base64. */
const FERNET_MAGIC = 'gAAAAA'

/** Told from the first bytes of the file. */
export function encryptionOf(file: Uint8Array): Encryption {
  const head = Buffer.from(file.subarray(0, 16)).toString('latin1')
  if (head.startsWith(NACL_MAGIC)) return 'nacl'
  if (head.startsWith(ANSIBLE_MAGIC)) return 'ansible'
  if (head.startsWith(FERNET_MAGIC)) return 'fernet'
  return 'none'
}

/** The file's clear bytes, or undefined when the password is wrong or the file damaged. Needs 600 MB for 'nacl': see decrypt-child.ts. */
export async function decrypt(
  file: Uint8Array,
  encryption: 'nacl' | 'ansible',
  password: string,
): Promise<Uint8Array | undefined> {
  return encryption === 'nacl' ? await decryptNacl(file, password) : await decryptAnsible(file, password)
}

/** argon2i at libsodium's "sensitive" limits and the one salt that all bittensor wallets share. */
const NACL_KEY = {
  salt: Buffer.from('137183dff15a09bc9c90b5518739e9b1', 'hex'),
  iterations: 8,
  memorySize: 512 * 1024,
  parallelism: 1,
  hashLength: nacl.secretbox.keyLength,
} as const

async function decryptNacl(file: Uint8Array, password: string): Promise<Uint8Array | undefined> {
  const nonceEnd = NACL_MAGIC.length + nacl.secretbox.nonceLength
  if (file.length < nonceEnd + nacl.secretbox.overheadLength) return undefined
  const key = await argon2i({ password, ...NACL_KEY, outputType: 'binary' })
  const nonce = file.subarray(NACL_MAGIC.length, nonceEnd)
  return nacl.secretbox.open(file.subarray(nonceEnd), nonce, key) ?? undefined
}

/** Ansible vault 1.1: hex of `salt\nhmac\nciphertext`, each hex itself; PBKDF2 → AES-256-CTR key, HMAC key, counter. */
async function decryptAnsible(file: Uint8Array, password: string): Promise<Uint8Array | undefined> {
  const [, ...lines] = Buffer.from(file).toString('latin1').split(/\r?\n/)
  const parts = Buffer.from(lines.join(''), 'hex').toString('latin1').split('\n')
  const [salt, mac, ciphertext] = parts.map(part => Buffer.from(part, 'hex'))
  if (!salt?.length || !mac?.length || !ciphertext?.length) return undefined
  const derived = await promisify(pbkdf2)(password, salt, 10_000, 80, 'sha256')
  const expected = createHmac('sha256', derived.subarray(32, 64)).update(ciphertext).digest()
  if (mac.length !== expected.length || !timingSafeEqual(mac, expected)) return undefined
  const cipher = createDecipheriv('aes-256-ctr', derived.subarray(0, 32), derived.subarray(64, 80))
  const padded = Buffer.concat([cipher.update(ciphertext), cipher.final()])
  return padded.subarray(0, padded.length - (padded.at(-1) ?? 0))
}

import { commitDigest, commitmentsHash } from './binding.js'
import { hashOfCommitments } from './canonical-json.js'
import type { Profile } from './profile.js'
import type { PythonJson } from './python-json.js'
import { bytesFromHex, utf8 } from './python-text.js'

/**
 * sr25519 verification over raw bytes, context `substrate`.
 * @param signer ss58 address; a text that is none makes it false
 */
export type VerifySignature = (message: Uint8Array, signature: Uint8Array, signer: string) => boolean

/** A commit as its signature check reads it. */
export interface SignedCommit {
  proofVersion: string
  tokens: ArrayLike<number | bigint>
  /** int32[positions] when the commitments are plain sketches, else their parsed JSON. */
  commitments: Int32Array | PythonJson
  randomness: string
  modelName: string
  layerIndex: number
  /** Hex without 0x. */
  signature: string
}

/**
 * Does `commit.signature` bind the commit to the hotkey? False also for an unknown proof version and for anything that
 * cannot be read (one-covenant/grail grail/protocol/signatures.py:125, 54d6342). The validator takes the hotkey from the
 * chain, not from the row.
 */
export function commitSignatureValid(
  profile: Profile,
  commit: SignedCommit,
  hotkey: string,
  verify: VerifySignature,
): boolean {
  if (!profile.acceptedProofVersions.includes(commit.proofVersion)) return false
  try {
    const { commitments } = commit
    const digest = commitDigest({
      ...commit,
      commitmentsHash:
        commitments instanceof Int32Array ? commitmentsHash(commitments) : hashOfCommitments(commitments),
    })
    return verifies(digest, commit.signature, hotkey, verify)
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/**
 * Does a row's `signature` verify for the row's own `hotkey` and `challenge`? That is all a validator asks of it
 * (grail/validation/miner_validator.py:1154-1180, 54d6342). Empty fields are refused.
 */
export function rowSignatureValid(
  row: { challenge: string; hotkey: string; signature: string },
  verify: VerifySignature,
): boolean {
  if (row.challenge === '' || row.hotkey === '' || row.signature === '') return false
  try {
    return verifies(utf8(row.challenge), row.signature, row.hotkey, verify)
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/** bittensor-wallet's verify: raw bytes first, then wrapped the way browser wallets sign them. */
function verifies(message: Uint8Array, signatureHex: string, signer: string, verify: VerifySignature): boolean {
  const signature = bytesFromHex(signatureHex)
  if (verify(message, signature, signer)) return true
  return verify(Buffer.concat([Buffer.from('<Bytes>'), message, Buffer.from('</Bytes>')]), signature, signer)
}

import { u8aToHex } from '@polkadot/util'
import { blake2AsHex, blake2AsU8a, sr25519Verify } from '@polkadot/util-crypto'
import { RpcError } from './rpc-error.js'
import type { Runtime } from './runtime.js'

/** A signed set_commitment that has passed the pool's checks. */
export interface Extrinsic {
  hash: string
  /** As it came in: hex with 0x. */
  bytes: string
  /** 32 bytes as hex with 0x */
  signer: string
  nonce: number
  /** The runtime it was signed for; no other accepts it. */
  specVersion: number
  /** Last block that may hold it. */
  death: number
  call: { netuid: number; info: unknown; bytes: number; fields: number }
}

/** What the checks of an extrinsic need of the chain. */
export interface SigningContext {
  genesisHash: string
  best: number
  hashOf(number: number): string | undefined
  /** Next nonce of the account. */
  nonceOf(account: string): number
}

/** A signed payload of more bytes than this is hashed before it is signed (sp_runtime::generic::SignedPayload). */
const MAX_RAW_PAYLOAD = 256

/**
 * Decodes and checks an extrinsic as a node's transaction pool does: sr25519 signature over call, era, nonce, spec and
 * genesis; nonce not used. Throws RpcError 1010 (invalid) with the node's texts, or 1002 when it is no extrinsic at all.
 */
export function checkExtrinsic(runtime: Runtime, bytes: string, chain: SigningContext): Extrinsic {
  const extrinsic = decode(runtime, bytes)
  const { section, method } = extrinsic.method
  if (!extrinsic.isSigned) throw invalid('Transaction has a bad signature')
  if (section !== 'commitments' || method !== 'setCommitment') {
    throw invalid(`the dev chain takes commitments.setCommitment only, not ${section}.${method}`)
  }
  const era = extrinsic.era.isMortalEra ? extrinsic.era.asMortalEra : undefined
  const blockHash = era ? chain.hashOf(era.birth(chain.best)) : chain.genesisHash
  if (blockHash === undefined) throw invalid('Transaction has an ancient birth block')
  const payload = runtime.registry
    .createType(
      'ExtrinsicPayload',
      {
        method: extrinsic.method.toHex(),
        era: extrinsic.era,
        nonce: extrinsic.nonce,
        tip: extrinsic.tip,
        mode: 0,
        metadataHash: null,
        specVersion: runtime.specVersion,
        transactionVersion: 1,
        genesisHash: chain.genesisHash,
        blockHash,
      },
      { version: 4 },
    )
    .toU8a({ method: true })
  const message = payload.length > MAX_RAW_PAYLOAD ? blake2AsU8a(payload) : payload
  const signer = extrinsic.signer.toString()
  const account = runtime.registry.createType('AccountId32', signer)
  if (!verified(message, extrinsic.signature.toU8a(), account.toU8a())) throw invalid('Transaction has a bad signature')
  const nonce = extrinsic.nonce.toNumber()
  if (nonce < chain.nonceOf(u8aToHex(account.toU8a()))) throw invalid('Transaction is outdated')
  const [netuid, info] = extrinsic.method.args as unknown as [{ toNumber(): number }, CommitmentInfo]
  return {
    hash: blake2AsHex(bytes, 256),
    bytes,
    signer: u8aToHex(account.toU8a()),
    nonce,
    specVersion: runtime.specVersion,
    death: era ? era.death(chain.best) : Number.MAX_SAFE_INTEGER,
    call: {
      netuid: netuid.toNumber(),
      info,
      fields: info.fields.length,
      bytes: info.fields.reduce((sum, field) => sum + field.value.toU8a(true).length, 0),
    },
  }
}

interface CommitmentInfo {
  fields: { value: { toU8a(bare: boolean): Uint8Array } }[]
}

function decode(runtime: Runtime, bytes: string) {
  try {
    return runtime.registry.createType('Extrinsic', bytes)
  } catch (cause) {
    throw new RpcError(1002, 'Verification Error: Runtime error: cannot decode the extrinsic', (cause as Error).message)
  }
}

function verified(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  try {
    return sr25519Verify(message, signature, publicKey)
  } catch {
    // garbage throws in this implementation
    return false
  }
}

function invalid(why: string): RpcError {
  return new RpcError(1010, 'Invalid Transaction', why)
}

import { createHash } from 'node:crypto'
import type { Profile } from './profile.js'
import { utf8 } from './python-text.js'
import { randomnessBytes } from './randomness.js'

/** Keeps commit signatures apart from everything else a hotkey signs (one-covenant/grail grail/protocol/signatures.py:28, 54d6342). */
const COMMIT_DOMAIN = Buffer.from('grail-commit-v1')

/** sha256 of the tokens, each as big-endian u32 of its low 32 bits (grail/protocol/tokens.py:28-36, 54d6342). */
export function tokensHash(tokens: ArrayLike<number | bigint>): Buffer {
  return createHash('sha256').update(tokensBytes(tokens)).digest()
}

/** Bytes under `tokensHash`: 4 per token. Throws RangeError for a token that is not an integer; beyond 2^53 pass a bigint. */
export function tokensBytes(tokens: ArrayLike<number | bigint>): Buffer {
  const words = new Uint32Array(tokens.length)
  if (tokens instanceof Int32Array) words.set(tokens)
  else for (let i = 0; i < tokens.length; i++) words[i] = lowWord(tokens[i]!)
  return Buffer.from(words.buffer).swap32()
}

function lowWord(token: number | bigint): number {
  if (typeof token === 'bigint') return Number(BigInt.asUintN(32, token))
  if (!Number.isSafeInteger(token)) throw new RangeError(`token is not an integer: ${String(token)}`)
  return token >>> 0
}

/**
 * Canonical JSON of grail-v5 commitments, `[{"sketch":123},…]` as UTF-8, without building an object per position
 * (grail/protocol/signatures.py:31, 54d6342). The same bytes are hashed, signed and written to the file.
 * @param sketches int32[positions]
 */
export function commitmentsJson(sketches: Int32Array): Buffer {
  if (sketches.length === 0) return Buffer.from('[]')
  // joining numbers natively is as fast as writing their digits by hand
  return Buffer.from(`[{"sketch":${sketches.join('},{"sketch":')}}]`, 'latin1')
}

/** sha256 of `commitmentsJson(sketches)`. */
export function commitmentsHash(sketches: Int32Array): Buffer {
  return createHash('sha256').update(commitmentsJson(sketches)).digest()
}

/** What a commit signature covers. */
export interface CommitParts {
  /** int32[P + C], prompt and completion. */
  tokens: ArrayLike<number | bigint>
  /** Beacon randomness of the commit; 0x and an odd number of digits are normalised away. */
  randomness: string
  modelName: string
  /** Signed 32-bit. */
  layerIndex: number
  /** 32 bytes, from `commitmentsHash` or `hashOfCommitments`. */
  commitmentsHash: Uint8Array
}

/**
 * The 32 bytes that `commit.signature` signs: sha256 over the domain and the length-prefixed tokens hash, randomness,
 * model name, layer index and commitments hash (grail/protocol/signatures.py:44, 54d6342). Throws RangeError for
 * randomness that is not hex and for a layer index beyond 32 bits.
 */
export function commitDigest(parts: CommitParts): Buffer {
  const { layerIndex } = parts
  if ((layerIndex | 0) !== layerIndex) throw new RangeError(`layer index ${layerIndex} is no signed 32-bit integer`)
  const layer = Buffer.alloc(4)
  layer.writeInt32BE(layerIndex)
  const fields = [
    tokensHash(parts.tokens),
    randomnessBytes(parts.randomness),
    utf8(parts.modelName),
    layer,
    parts.commitmentsHash,
  ]
  const hash = createHash('sha256').update(COMMIT_DOMAIN)
  for (const field of fields) {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(field.length)
    hash.update(length).update(field)
  }
  return hash.digest()
}

/**
 * The text that a row's `signature` signs as UTF-8: `|windowHash|nonce` (grail/cli/mine.py:99, 54d6342).
 * @param episodeSeed never set by a miner of today; old files carry one in front
 */
export function challengeText(windowHash: string, nonce: number | string, episodeSeed: string | number = ''): string {
  if (typeof nonce === 'number' && !Number.isSafeInteger(nonce))
    throw new RangeError(`nonce ${nonce} is not an integer`)
  return `${episodeSeed}|${windowHash}|${nonce}`
}

/** Nonce of a row: group · stride + rollout index, stride 16 for grail-v5 and 100 for fork-v1 (grail/cli/mine.py:411, 54d6342). */
export function nonceOf(profile: Profile, group: number, index: number): number {
  return group * profile.nonceStride + index
}

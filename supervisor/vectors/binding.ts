import { decodeAddress } from '@polkadot/util-crypto/address'
import {
  challengeText,
  commitDigest,
  commitmentsHash,
  nonceOf,
  tokensBytes,
  tokensHash,
} from '../../src/protocol/binding.js'
import { canonicalJson, hashOfCommitments } from '../../src/protocol/canonical-json.js'
import { completionDigest } from '../../src/protocol/completion-digest.js'
import { FORK_V1, GRAIL_V5, type Profile } from '../../src/protocol/profile.js'
import { type PythonJson, parsePythonJson } from '../../src/protocol/python-json.js'
import { commitSignatureValid, rowSignatureValid, type VerifySignature } from '../../src/protocol/signatures.js'
import { ready, sr25519Verify } from '../../src/wallet/sr25519.js'
import { type Check, type Checks, same } from './check.js'
import { compareOrError } from './expect-error.js'
import { losslessCase } from './lossless.js'
import { parsePythonLiteral } from './python-literal.js'

/** Hashes, commit binding, signatures, nonces and digests. */
export const bindingChecks: Checks = {
  'hash_tokens.json': (file, index) => {
    const c = file.cases[index]
    const run = () => (c.fn === 'int_to_bytes' ? tokensBytes([BigInt(c.i)]) : tokensHash(losslessTokens(file, index)))
    return compareOrError(c, run, () => same(run().toString('hex'), c.hex))
  },

  'hash_commitments.json': (file, index) => {
    const c = file.cases[index]
    const value = parsePythonLiteral(c.python_repr)
    const failure = same(hashOfCommitments(value).toString('hex'), c.hex)
    if (failure || c.encoded === undefined) return failure
    return (
      same(canonicalJson(value), c.encoded) ??
      same(canonicalJson(parsePythonJson(c.encoded)), c.encoded) ??
      sameFast(c.commitments, c.hex)
    )
  },

  'build_commit_binding.json': (file, index) => {
    const c = file.cases[index]
    const commitments = losslessCase(file, index).get('commitments')!
    const tokens = losslessTokens(file, index)
    const run = () =>
      commitDigest({
        tokens,
        randomness: c.randomness_hex,
        modelName: c.model_name ?? '',
        layerIndex: c.layer_index,
        commitmentsHash: hashOfCommitments(commitments),
      })
    return compareOrError(c, run, () => {
      const hash = hashOfCommitments(commitments).toString('hex')
      return (
        same(tokensHash(tokens).toString('hex'), c.tokens_hash ?? tokensHash(tokens).toString('hex')) ??
        same(hash, c.commitments_hash ?? hash) ??
        sameFast(c.commitments, hash) ??
        same(run().toString('hex'), c.digest_hex)
      )
    })
  },

  'commit_signature.json': async (file, index) => {
    await ready()
    const c = file.cases[index]
    const digest = (commit: typeof c.commit) =>
      commitDigest({
        tokens: commit.tokens,
        randomness: commit.beacon.randomness,
        modelName: commit.model.name,
        layerIndex: commit.model.layer_index,
        commitmentsHash: hashOfCommitments(parsePythonJson(JSON.stringify(commit.commitments))),
      }).toString('hex')
    const wrong = same(digest(c.commit), c.digest_hex)
    if (wrong) return wrong
    for (const attempt of c.verify) {
      const commit = { ...c.commit, ...attempt.changed }
      const actual = commitSignatureValid(
        GRAIL_V5,
        {
          proofVersion: commit.proof_version,
          tokens: commit.tokens,
          commitments: parsePythonJson(JSON.stringify(commit.commitments)),
          randomness: commit.beacon?.randomness ?? '',
          modelName: commit.model?.name ?? '',
          layerIndex: commit.model?.layer_index,
          signature: commit.signature,
        },
        attempt.wallet,
        verify,
      )
      const failure = same(actual, attempt.ok)
      if (failure) return `${attempt.what}: ${failure}`
    }
    return undefined
  },

  'challenge_signature.json': async (file, index) => {
    await ready()
    const c = file.cases[index]
    const input = c.input ?? c
    const [episodeSeed] = typeof c.challenge === 'string' ? c.challenge.split('|') : ['']
    const run = () => signedChallenge(orEmpty(input.block_hash), orEmpty(input.nonce), episodeSeed)
    return compareOrError(c, run, () => {
      const text = c.block_hash === undefined ? c.challenge : run()
      const utf8 = Buffer.from(text, 'utf8').toString('hex')
      const row = { challenge: text, hotkey: c.hotkey, signature: c.sample_signature_hex }
      const forged = { ...row, challenge: `${text}0` }
      return (
        same(text, c.challenge) ??
        same(utf8, c.challenge_utf8_hex ?? utf8) ??
        (rowSignatureValid(row, verify) ? undefined : 'the sample signature does not verify') ??
        (rowSignatureValid(forged, verify) ? 'the sample signature verifies for another challenge' : undefined)
      )
    })
  },

  'completion_digest.json': (file, index) => {
    const c = file.cases[index]
    const tokens = Array.isArray(c.tokens) ? c.tokens : []
    return same(completionDigest(tokens, c.rollout?.prompt_length ?? 0) ?? null, c.digest)
  },

  'nonce.json': nonceCheck(GRAIL_V5),
  'nonce_fork.json': nonceCheck(FORK_V1),
}

/** sr25519 for an address; false for what is no address. */
const verify: VerifySignature = (message, signature, signer) => {
  try {
    return sr25519Verify(message, signature, decodeAddress(signer))
  } catch {
    return false
  }
}

function nonceCheck(profile: Profile): Check {
  return (file, index) => {
    const c = file.cases[index]
    return same(nonceOf(profile, c.group, c.rollout_idx), c.nonce)
  }
}

/** The reference asks for a text hash and a text or integer nonce (grail/cli/mine.py:106-109, 54d6342). */
function signedChallenge(blockHash: unknown, nonce: unknown, episodeSeed: string): string {
  if (typeof blockHash !== 'string') throw new RangeError('block_hash is not a text')
  if (typeof nonce === 'boolean') return challengeText(blockHash, nonce ? 'True' : 'False', episodeSeed)
  if (typeof nonce !== 'number' && typeof nonce !== 'string') throw new RangeError('nonce is neither integer nor text')
  return challengeText(blockHash, nonce, episodeSeed)
}

/** Python's dict.get(key, ''): an absent key is empty, a null stays null. */
function orEmpty(value: unknown): unknown {
  return value === undefined ? '' : value
}

function losslessTokens(file: Parameters<Check>[0], index: number): bigint[] {
  return (losslessCase(file, index).get('tokens') as PythonJson[]).map(token => BigInt(token as bigint))
}

/** Plain sketches must hash the same the fast way. */
function sameFast(commitments: unknown, hex: string): string | undefined {
  const isPlain =
    Array.isArray(commitments) &&
    commitments.every(c => Object.keys(c).join() === 'sketch' && (c.sketch | 0) === c.sketch)
  if (!isPlain) return undefined
  const hash = commitmentsHash(Int32Array.from(commitments, commitment => commitment.sketch))
  return same(hash.toString('hex'), hex)
}

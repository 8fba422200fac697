import { createHash } from 'node:crypto'
import type { Profile } from '../../protocol/profile.js'
import { GROUP_SIZE } from '../group.js'
import type { SignedGroup, WindowRow } from './row.js'

/**
 * The rows of a signed group, in rollout order (one-covenant/grail grail/cli/mine.py:411-459, 54d6342): nonce = index · stride + i,
 * commitments as compact JSON, token_logprobs as P zeros and then the completion's.
 * @throws Error when the profile's commitments need more than a sketch per position, or a signature is missing
 */
export function rowsOf({ group, rows }: SignedGroup, profile: Profile): WindowRow[] {
  if (profile.commitmentKeys.join() !== 'sketch')
    throw new Error(
      `profile ${profile.id} commits to ${profile.commitmentKeys.join(', ')}; a staged group carries sketches only`,
    )
  if (rows.length !== GROUP_SIZE || group.rollouts.length !== GROUP_SIZE)
    throw new Error(
      `group ${group.index} of window ${group.window} has ${group.rollouts.length} rollouts and ${rows.length} signatures instead of ${GROUP_SIZE}`,
    )
  const beacon = JSON.stringify({ randomness: group.randomness })
  const useDrand = group.randomness !== createHash('sha256').update(group.windowHash, 'utf8').digest('hex')
  const promptLength = group.promptIds.length
  return group.rollouts.map((rollout, i) => {
    const signed = rows[i] as SignedGroup['rows'][number]
    const completionLength = rollout.completionIds.length
    const tokens = new Int32Array(promptLength + completionLength)
    tokens.set(group.promptIds)
    tokens.set(rollout.completionIds, promptLength)
    const logprobs = new Float32Array(promptLength + completionLength)
    logprobs.set(rollout.logprobs, promptLength)
    return {
      window_start: group.window,
      block: group.block,
      nonce: group.index * profile.nonceStride + i,
      block_hash: group.windowHash,
      randomness: group.randomness,
      use_drand: useDrand,
      rollout_group: group.index,
      rollout_index: i,
      total_in_group: group.rollouts.length,
      checkpoint_window: group.model.checkpointWindow,
      commit: {
        tokens,
        commitments: commitmentsJson(rollout.sketches),
        proof_version: profile.proofVersion,
        model: { name: group.model.modelName, layer_index: profile.layerIndex },
        signature: signed.commitSignature,
        beacon,
        rollout: {
          total_reward: rollout.reward,
          advantage: rollout.advantage,
          success: rollout.success,
          token_logprobs: logprobs,
          prompt_length: promptLength,
          completion_length: completionLength,
        },
      },
      timestamp: group.timestamp,
      challenge: signed.challenge,
      hotkey: group.hotkey,
      signature: signed.signature,
    }
  })
}

const [OPEN, CLOSE, BRACE, COMMA, ZERO] = [0x5b, 0x5d, 0x7d, 0x2c, 0x30]
/** `{"sketch":2147483646},` */
const LONGEST = 22

/**
 * `[{"sketch":1},…]` as bytes. Written byte by byte because a file holds millions of them: five times as fast as JSON.stringify.
 * @param sketches int32[n], each ≥ 0
 */
export function commitmentsJson(sketches: Int32Array): Uint8Array {
  const bytes = new Uint8Array(sketches.length * LONGEST + 2)
  let at = 0
  bytes[at++] = OPEN
  for (let i = 0; i < sketches.length; i++) {
    let rest = sketches[i] as number
    if (rest < 0) throw new RangeError(`sketch ${rest} at position ${i} is negative`)
    if (i > 0) bytes[at++] = COMMA
    // {"sketch":
    bytes[at] = 0x7b
    bytes[at + 1] = 0x22
    bytes[at + 2] = 0x73
    bytes[at + 3] = 0x6b
    bytes[at + 4] = 0x65
    bytes[at + 5] = 0x74
    bytes[at + 6] = 0x63
    bytes[at + 7] = 0x68
    bytes[at + 8] = 0x22
    bytes[at + 9] = 0x3a
    at += 10
    let digits = 1
    for (let power = 10; rest >= power; power *= 10) digits++
    at += digits
    for (let back = 1; back <= digits; back++) {
      const next = (rest / 10) | 0
      bytes[at - back] = ZERO + rest - next * 10
      rest = next
    }
    bytes[at++] = BRACE
  }
  bytes[at++] = CLOSE
  return bytes.subarray(0, at)
}

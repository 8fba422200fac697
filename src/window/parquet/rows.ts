import { createHash } from 'node:crypto'
import { commitmentsJson, nonceOf } from '../../protocol/binding.js'
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
      nonce: nonceOf(profile, group.index, i),
      block_hash: group.windowHash,
      randomness: group.randomness,
      use_drand: useDrand,
      rollout_group: group.index,
      rollout_index: i,
      total_in_group: group.rollouts.length,
      checkpoint_window: group.model.checkpointWindow,
      commit: {
        tokens,
        commitments: signed.commitmentsJson ?? commitmentsJson(rollout.sketches),
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

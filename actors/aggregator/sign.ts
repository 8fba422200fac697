import { createHash } from 'node:crypto'
import { challengeText, commitDigest, commitmentsJson, nonceOf } from '../../src/protocol/binding.js'
import type { Profile } from '../../src/protocol/profile.js'
import type { Hotkey } from '../../src/wallet/hotkey.js'
import type { Group } from '../../src/window/group.js'
import type { SignedGroup } from '../../src/window/parquet/row.js'

/**
 * The two signatures of every row: over the commit binding and over the challenge text. Both are randomised. The commitments'
 * JSON is made once, and what was signed is what is written.
 */
export function signGroup(group: Group, hotkey: Hotkey, profile: Profile): SignedGroup {
  const prompt = group.promptIds
  const rows = group.rollouts.map((rollout, i) => {
    const tokens = new Int32Array(prompt.length + rollout.completionIds.length)
    tokens.set(prompt)
    tokens.set(rollout.completionIds, prompt.length)
    const commitments = commitmentsJson(rollout.sketches)
    const digest = commitDigest({
      tokens,
      randomness: group.randomness,
      modelName: group.model.modelName,
      layerIndex: profile.layerIndex,
      commitmentsHash: createHash('sha256').update(commitments).digest(),
    })
    const challenge = challengeText(group.windowHash, nonceOf(profile, group.index, i))
    return {
      commitSignature: Buffer.from(hotkey.sign(digest)).toString('hex'),
      challenge,
      signature: Buffer.from(hotkey.sign(Buffer.from(challenge, 'utf8'))).toString('hex'),
      commitmentsJson: commitments,
    }
  })
  return { group, rows }
}

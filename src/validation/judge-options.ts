import type { CheckpointMetadata } from '../checkpoint/metadata.js'
import type { Engine } from '../engine/engine.js'
import type { Environment } from '../environment/environment.js'
import type { Tokenizer } from '../environment/tokenizer.js'
import type { Profile } from '../protocol/profile.js'
import type { VerifySignature } from '../protocol/signatures.js'
import type { ModelFacts } from '../window/group.js'

/** What a file is judged by: the more is given, the more is judged. */
export interface JudgeOptions {
  profile: Profile
  /** sr25519; false for anything that is no signature. */
  verify: VerifySignature
  /** Whose file it must be, for which window, with which hash of its first block. What is left out is taken from the file itself. */
  hotkey?: string | undefined
  window?: number | undefined
  windowHash?: string | undefined
  /** The checkpoint a validator has loaded for this window. */
  checkpoint?: CheckpointMetadata | undefined
  /** Facts of its model: vocabulary, longest sequence, EOS. */
  model?: ModelFacts | undefined
  /** Renders and tokenizes prompts, decodes completions: with `environment` it makes prompts and rewards judgeable. */
  tokenizer?: Tokenizer | undefined
  environment?: Environment | undefined
  /** Replays rows; must have `checkpoint` loaded. */
  engine?: Engine | undefined
  /** Hex: which groups and positions a validator opens. Without it every row and position is judged. */
  challengeRandomness?: string | undefined
  signal?: AbortSignal | undefined
}

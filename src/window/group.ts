/** Rollouts per problem (one-covenant/grail grail/protocol/constants.py:103, 54d6342). */
export const GROUP_SIZE = 16

/** How a completion stopped: on the tokenizer's EOS, or at the checkpoint's max_tokens. */
export type Finish = 'eos' | 'length'

/** What the distribution check of the validator looks at (grail/validation/validators/distribution.py:48-277, 54d6342); probabilities in [0,1]. */
export interface Distribution {
  median: number
  /** 10 % quantile over all completion tokens. */
  q10: number
  /** 10 % quantile over the first 50 completion tokens. */
  q10First50: number
  min: number
}

/** One completion as an engine returns it. P = prompt length, C = completion length. */
export interface Completion {
  /** int32[C], includes the EOS token when `finish` is 'eos'. */
  completionIds: Int32Array
  /** int32[P + C], each in [0, 2^31 − 1): the sketch of every position, prompt included. */
  sketches: Int32Array
  /** float32[C]: untempered log-probabilities of the completion's tokens; the prompt's zeros are added when the row is written. */
  logprobs: Float32Array
  finish: Finish
  /** Probability of EOS at the last step, for `finish` 'eos'; NaN otherwise. */
  eosProbability: number
  distribution: Distribution
}

/** A completion that has been rewarded inside its group. */
export interface Rollout extends Completion {
  reward: number
  success: boolean
  advantage: number
}

/** Which weights, and what they can take. A group is only good together with exactly these. */
export interface ModelFacts {
  /** Window of the checkpoint that is loaded. */
  checkpointWindow: number
  /** `model_name` of the checkpoint's metadata; it is signed. */
  modelName: string
  /** Hex digest of the weights (xxh3-128 for grail-v5), '' when the engine has none. */
  weightsHash: string
  eosTokenId: number
  vocabSize: number
  /** Longest sequence, prompt and completion, in tokens. */
  maxPositions: number
}

/** Sixteen rollouts of one problem, as a generator stages them. */
export interface Group {
  /** Protocol profile, e.g. 'grail-v5'. */
  profile: string
  /** Name of the engine; 'rehearsal' marks a group no real bucket may receive. */
  engine: string
  hotkey: string
  window: number
  epoch: number
  /** Hash text of block W, lower-case hex with 0x. */
  windowHash: string
  /** 64 hex characters without 0x. */
  randomness: string
  /** Problem index of the window = rollout_group. */
  index: number
  /** u32, derived from hotkey, window hash and index. */
  seed: number
  environment: string
  /** Best block when the group was started. */
  block: number
  model: ModelFacts
  /** max_tokens of the checkpoint's generation parameters, already clamped by the profile. */
  maxTokens: number
  /** int32[P] */
  promptIds: Int32Array
  rollouts: Rollout[]
  /** Which generator made it: for the ledger, not for the file. */
  producer: string
  /** Unix seconds at packaging. */
  timestamp: number
  /** Seconds spent per step. */
  seconds: { prompt: number; generate: number; prove: number; reward: number }
}

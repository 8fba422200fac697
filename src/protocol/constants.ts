import { DEADLINE_SLACK_MS, NOMINAL_BLOCK_MS, WINDOW_BLOCKS } from '../window/block.js'

/**
 * Numbers of the protocol that no function of this folder needs and no profile varies, so that a change upstream is
 * noticed by the vectors (one-covenant/grail grail/protocol/constants.py, 54d6342).
 */
export const UNUSED_CONSTANTS = {
  /** How the reference proves on a GPU; the engine's worker decides for itself. */
  attention: 'flash_attention_2',
  /** Seconds of slack that the reference defines and uses nowhere on the way from mining to validating. */
  blockTimeVariance: 3,
  networkUploadLatency: 30,
  uploadGracePeriod: 33,
  drandFutureBuffer: 30,
  /** Fractions of an older distribution check. */
  samplingHighP: 0.9,
  samplingLowP: 0.1,
  samplingLowFractionMin: 0.2,
  samplingHighFractionMin: 0.5,
  samplingMidFractionMax: 0.4,
  /** Rewards of triton_kernel that need a GPU: kernel speed as a sigmoid. */
  sanityCheckDriftThreshold: 0.1,
  sigmoidDelta: 1.8,
  speedupClip: 3,
  sigmoidKernelWeight: 0.8,
  /** Environment of metadata without one, which its own check refuses. */
  fallbackEnvironment: { 'grail-v5': 'triton_kernel', 'fork-v1': 'mbpp' },
  /** Objects of validators. */
  trustListKeyPrefix: 'grail/trust/trust_list_',
  trustListVersion: 1,
  /** Does the validator choose miners at all, and cap what counts? */
  minerSamplingEnabled: true,
  uniqueRolloutsCapEnabled: true,
} as const

/** UID whose committed credentials lead to the checkpoint bucket (grail/protocol/constants.py:156, 54d6342). */
export const TRAINER_UID = 0

/** Subnet of the live network (protocol.md §6.2). */
export const MAINNET_NETUID = 81

/** Times in the reference's own units, seconds and blocks. */
export const REFERENCE_TIMES = {
  windowBlocks: WINDOW_BLOCKS,
  blockSeconds: NOMINAL_BLOCK_MS / 1000,
  deadlineSlackSeconds: -DEADLINE_SLACK_MS / 1000,
} as const

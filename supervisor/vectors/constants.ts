import { CHECKPOINT_PREFIX } from '../../src/checkpoint/paths.js'
import { ANCHOR_WINDOWS } from '../../src/checkpoint/retention.js'
import { MAINNET_NETUID, REFERENCE_TIMES, TRAINER_UID, UNUSED_CONSTANTS } from '../../src/protocol/constants.js'
import { FAILURE_LOOKBACK_WINDOWS, MINER_SAMPLE } from '../../src/protocol/miner-selection.js'
import { PRF_LABEL } from '../../src/protocol/prf.js'
import { FORK_V1, GRAIL_V5, PRIME_Q, type Profile } from '../../src/protocol/profile.js'
import { type Checks, same } from './check.js'

/** Names of the reference's constants → what this build holds for them. */
export const constantsChecks: Checks = {
  'constants.json': (file, index) => {
    const c = file.cases[index]
    const profile = c.profile === 'fork' ? FORK_V1 : GRAIL_V5
    const ours = constantsOf(profile)
    for (const [name, expected] of Object.entries(c.constants)) {
      if (!Object.hasOwn(ours, name)) return `this build has no constant ${name} (${JSON.stringify(expected)})`
      const failure = same(ours[name], expected)
      if (failure) return `${name}: ${failure}`
    }
    return undefined
  },
}

function constantsOf(profile: Profile): Record<string, unknown> {
  const { tolerance, distribution, score } = profile
  const unused = UNUSED_CONSTANTS
  const isFork = profile.id === 'fork-v1'
  return {
    GRAIL_PROOF_VERSION: profile.proofVersion,
    PRIME_Q,
    CHALLENGE_K: profile.challengeK,
    RNG_LABEL: `{${Object.entries(PRF_LABEL)
      .map(([name, label]) => `'${name}': b'${label}'`)
      .join(', ')}}`,
    LAYER_INDEX: profile.layerIndex,
    PROOF_BATCH_SIZE: profile.proofBatch,
    PROOF_TOPK: profile.topk,
    PROOF_NUM_BUCKETS: profile.buckets,
    PROOF_COEFF_RANGE: profile.coefficientRange,
    ...(tolerance.kind === 'sqrt'
      ? { PROOF_SKETCH_TOLERANCE_BASE: tolerance.base, PROOF_SKETCH_TOLERANCE_GROWTH: tolerance.growth }
      : { PROOF_SKETCH_TOLERANCE: tolerance.base, PROOF_POSITION_IMPORTANCE_DECAY: tolerance.decay }),
    ATTN_IMPLEMENTATION: unused.attention,
    WINDOW_LENGTH: REFERENCE_TIMES.windowBlocks,
    BLOCK_TIME_SECONDS: REFERENCE_TIMES.blockSeconds,
    DEADLINE_SLACK_SECONDS: REFERENCE_TIMES.deadlineSlackSeconds,
    BLOCK_TIME_VARIANCE: unused.blockTimeVariance,
    NETWORK_UPLOAD_LATENCY: unused.networkUploadLatency,
    UPLOAD_GRACE_PERIOD: unused.uploadGracePeriod,
    DRAND_FUTURE_BUFFER: unused.drandFutureBuffer,
    ROLLOUTS_PER_PROBLEM: profile.groupSize,
    [isFork ? 'MAX_NEW_TOKENS' : 'MAX_NEW_TOKENS_PROTOCOL_CAP']: profile.maxNewTokens,
    MIN_EOS_PROBABILITY: profile.minEosProbability,
    SANITY_CHECK_DRIFT_THRESHOLD: unused.sanityCheckDriftThreshold,
    SIGMOID_DELTA: unused.sigmoidDelta,
    SPEEDUP_CLIP: unused.speedupClip,
    SIGMOID_KERNEL_WEIGHT: unused.sigmoidKernelWeight,
    REWARD_REL_TOL: profile.reward.rel,
    REWARD_ABS_TOL: profile.reward.abs,
    SUPERLINEAR_EXPONENT: score.exponent,
    // grail-v5 counts its cap per window, fork-v1 per period
    UNIQUE_ROLLOUTS_CAP: isFork ? score.cap : score.cap / score.windows,
    UNIQUE_ROLLOUTS_CAP_ENABLED: unused.uniqueRolloutsCapEnabled,
    GRAIL_BURN_UID: score.burnUid,
    GRAIL_BURN_PERCENTAGE: score.burnPercent,
    TRAINER_UID,
    NETUID: MAINNET_NETUID,
    MINER_SAMPLING_ENABLED: unused.minerSamplingEnabled,
    MINER_SAMPLE_RATE: MINER_SAMPLE.share,
    MINER_SAMPLE_MIN: MINER_SAMPLE.min,
    MINER_SAMPLE_MAX: MINER_SAMPLE.max,
    FAILURE_LOOKBACK_WINDOWS,
    MIN_ROLLOUT_FILE_SIZE_BYTES: profile.fileBytes[0],
    MAX_ROLLOUT_FILE_SIZE_BYTES: profile.fileBytes[1],
    SAMPLING_MIN_STEPS: distribution.minSteps,
    SAMPLING_LOW_P: unused.samplingLowP,
    SAMPLING_HIGH_P: unused.samplingHighP,
    SAMPLING_LOW_FRAC_MIN: unused.samplingLowFractionMin,
    SAMPLING_HIGH_FRAC_MIN: unused.samplingHighFractionMin,
    SAMPLING_MID_FRAC_MAX: unused.samplingMidFractionMax,
    SAMPLING_MEDIAN_LOW_MAX: distribution.medianMin,
    SAMPLING_LOW_Q10_MAX: distribution.q10Min,
    SAMPLING_MIN_TOKEN_PROB: distribution.minProbability,
    SAMPLING_INITIAL_WINDOW_STEPS: distribution.initialSteps,
    CURRENT_ENV_ID: unused.fallbackEnvironment[profile.id],
    DELTA_BASE_INTERVAL: ANCHOR_WINDOWS,
    CHECKPOINT_PREFIX,
    CHECKPOINT_SUBDIR_DELTA: 'DELTA',
    CHECKPOINT_SUBDIR_FULL: 'FULL',
    CHECKPOINT_TYPE_DELTA: 'DELTA',
    CHECKPOINT_TYPE_FULL: 'FULL',
    TRUST_LIST_KEY_PREFIX: unused.trustListKeyPrefix,
    TRUST_LIST_VERSION: unused.trustListVersion,
  }
}

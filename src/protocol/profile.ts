/** Everything that differs between versions of the GRAIL protocol, as data. Source: one-covenant/grail 54d6342 (grail-v5), Agile-Ascent-Limited/Grail c66a3e4 (fork-v1). */
export interface Profile {
  id: 'grail-v5' | 'fork-v1'
  /** May files of this profile go to a real bucket? */
  mayUpload: boolean
  proofVersion: string
  /** Versions a validator of this profile accepts. */
  acceptedProofVersions: readonly string[]
  groupSize: number
  /** nonce = group · nonceStride + rollout index */
  nonceStride: number
  challengeK: number
  topk: number
  buckets: number
  coefficientRange: number
  /** Order of the top-k activations that the coefficients multiply. */
  sketchOrder: 'index' | 'rank'
  commitmentKeys: readonly ('sketch' | 'indices' | 'position')[]
  layerIndex: number
  /** How far a validator's own sketch may be away, by position: base + growth·√position, or base·(2 − 1/(1 + position/decay)). */
  tolerance: { kind: 'sqrt'; base: number; growth: number } | { kind: 'decay'; base: number; decay: number }
  /** Sequences per proof forward, and the attention kernel it runs with on a GPU, as transformers names it. */
  proofBatch: number
  proofAttention: 'flash_attention_2'
  maxNewTokens: number
  minTokens: number
  minCompletion: number
  minEosProbability: number
  logprob:
    | { kind: 'medianRatio'; eps: number }
    | { kind: 'perPosition'; abs: number; rel: number; missFraction: number }
  reward: { rel: number; abs: number; softFraction: number }
  distribution: {
    softFraction: number
    medianMin: number
    q10Min: number
    minProbability: number
    minSteps: number
    initialSteps: number
  }
  /** Do rows need groups 0..N−1 without holes? */
  contiguousGroups: boolean
  /** Which rows of a file a validator opens: all up to `all`, else whole groups, `share` of them but at most `maxGroups`. */
  rowSample: { all: number; share: number; maxGroups: number }
  /** From which overlap of completions on two miners count as copying, and who of them is flagged. */
  copycat: { window: number; interval: number; flagged: 'later' | 'both' }
  /** How unique rollouts become weight; caps count over `windows` windows. */
  score: { windows: number; cap: number; exponent: number; burnUid: number; burnPercent: number }
  parquet: { codec: 'ZSTD' | 'SNAPPY'; logprobs: 'float32' | 'float64'; extraRolloutFields: readonly string[] }
  /** Accepted object size, bytes, inclusive. */
  fileBytes: readonly [number, number]
  uniqueCapPerWindow: number
  weightsHash: 'xxh3_128' | 'sha256'
  deltaFormats: readonly string[]
  environmentIds: readonly string[]
}

/** Modulus of the sketches, 2^31 − 1 (grail/protocol/constants.py, 54d6342). */
export const PRIME_Q = 2_147_483_647

export const GRAIL_V5: Profile = {
  id: 'grail-v5',
  mayUpload: true,
  proofVersion: 'v5',
  acceptedProofVersions: ['v4', 'v5'],
  groupSize: 16,
  nonceStride: 16,
  challengeK: 32,
  topk: 16,
  buckets: 8,
  coefficientRange: 127,
  sketchOrder: 'index',
  commitmentKeys: ['sketch'],
  layerIndex: -1,
  tolerance: { kind: 'sqrt', base: 6000, growth: 5 },
  proofBatch: 16,
  proofAttention: 'flash_attention_2',
  maxNewTokens: 8192,
  minTokens: 32,
  minCompletion: 32,
  minEosProbability: 0.02,
  logprob: { kind: 'medianRatio', eps: 0.1 },
  reward: { rel: 0.02, abs: 1e-6, softFraction: 0.2 },
  distribution: {
    softFraction: 0.51,
    medianMin: 0.3,
    q10Min: 0.025,
    minProbability: 1e-5,
    minSteps: 30,
    initialSteps: 50,
  },
  contiguousGroups: false,
  rowSample: { all: 20, share: 0.1, maxGroups: 4 },
  copycat: { window: 0.05, interval: 0.03, flagged: 'later' },
  score: { windows: 12, cap: 60_000, exponent: 4, burnUid: 0, burnPercent: 90 },
  parquet: { codec: 'ZSTD', logprobs: 'float32', extraRolloutFields: [] },
  fileBytes: [200, 350 * 1024 * 1024],
  uniqueCapPerWindow: 5000,
  weightsHash: 'xxh3_128',
  deltaFormats: ['sparse_codec_v2', 'sparse_codec_v3', 'sparse_codec_v3.1'],
  environmentIds: ['sat', 'gsm8k', 'math', 'mbpp', 'python_code', 'humaneval', 'triton_kernel'],
}

export const FORK_V1: Profile = {
  ...GRAIL_V5,
  id: 'fork-v1',
  mayUpload: false,
  proofVersion: 'v1',
  acceptedProofVersions: ['v1'],
  nonceStride: 100,
  challengeK: 16,
  topk: 32,
  buckets: 16,
  sketchOrder: 'rank',
  commitmentKeys: ['sketch', 'indices', 'position'],
  tolerance: { kind: 'decay', base: 50, decay: 100 },
  proofBatch: 1,
  maxNewTokens: 2048,
  minTokens: 10,
  minCompletion: 16,
  logprob: { kind: 'perPosition', abs: 1e-3, rel: 0.02, missFraction: 0.1 },
  contiguousGroups: true,
  rowSample: { all: 20, share: 0.1, maxGroups: 2 },
  copycat: { window: 0.5, interval: 0.75, flagged: 'both' },
  score: { windows: 12, cap: 61_440, exponent: 4, burnUid: 0, burnPercent: 80 },
  parquet: {
    codec: 'SNAPPY',
    logprobs: 'float64',
    extraRolloutFields: ['trajectory', 'satisfied_clauses', 'assignment'],
  },
  fileBytes: [200, Number.MAX_SAFE_INTEGER],
  uniqueCapPerWindow: 5120,
  weightsHash: 'sha256',
  deltaFormats: ['sparse_coo'],
}

const PROFILES: Record<string, Profile> = { [GRAIL_V5.id]: GRAIL_V5, [FORK_V1.id]: FORK_V1 }

/** The profile called `id`. Throws when this build has none of that name. */
export function profileOf(id: string): Profile {
  const profile = PROFILES[id]
  if (!profile)
    throw new Error(`unknown protocol profile "${id}"; this build knows ${Object.keys(PROFILES).join(', ')}`)
  return profile
}

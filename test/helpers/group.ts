import { GROUP_SIZE, type Group, type Rollout } from '../../src/window/group.js'

/** mulberry32: enough for test data, the same everywhere. @returns numbers in [0, 1) */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296
  }
}

export interface SampleShape {
  index?: number
  promptLength?: number
  /** Length of the shortest completion; the others are up to 15 tokens longer unless `equalLengths`. */
  completionLength?: number
  equalLengths?: boolean
}

/** A plausible staged group: token ids as Zipf draws them, sketches of real size (σ ≈ 1000, wrapped modulo 2^31 − 1), one completion in four cut by length. */
export function sampleGroup({
  index = 0,
  promptLength = 40,
  completionLength = 60,
  equalLengths = false,
}: SampleShape = {}): Group {
  const random = seededRandom(1_000 + index)
  const token = () => Math.floor(151_000 ** random())
  const sketch = () => {
    const value = Math.round((random() + random() + random() + random() - 2) * 1_700)
    return value < 0 ? value + 2_147_483_647 : value
  }
  const promptIds = Int32Array.from({ length: promptLength }, token)
  const rewards = Array.from({ length: GROUP_SIZE }, (_, i) => (i % 3 === 0 ? 1.135 : -0.111))
  const mean = rewards.reduce((sum, reward) => sum + reward, 0) / GROUP_SIZE
  const deviation = Math.sqrt(rewards.reduce((sum, reward) => sum + (reward - mean) ** 2, 0) / GROUP_SIZE)
  const rollouts = rewards.map((reward, i): Rollout => {
    const length = completionLength + (equalLengths ? 0 : i)
    const finish = i % 4 === 3 ? 'length' : 'eos'
    return {
      completionIds: Int32Array.from({ length }, token),
      sketches: Int32Array.from({ length: promptLength + length }, sketch),
      logprobs: Float32Array.from({ length }, () => Math.log(1 - random() * 0.9)),
      finish,
      eosProbability: finish === 'eos' ? 0.5 + random() / 2 : Number.NaN,
      distribution: { median: 0.9, q10: 0.3, q10First50: 0.25, min: 0.01 },
      reward,
      success: reward > 1,
      advantage: (reward - mean) / deviation,
    }
  })
  return {
    profile: 'grail-v5',
    engine: 'rehearsal',
    hotkey: '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY',
    window: 7_654_320,
    epoch: 1,
    windowHash: '0x89a1a98e709fa672374b463bbd8d5946ff4f530c5e65be07bf17ef8473ec96e9',
    randomness: '56ccb7a722df2af5437d8f5b501804937f8e9419448a35817065d6bb04bce065',
    index,
    seed: 2_718_281_828,
    environment: 'sat',
    block: 7_654_325,
    model: {
      checkpointWindow: 7_654_260,
      modelName: 'async_trainer_snapshot',
      weightsHash: '0123456789abcdef0123456789abcdef',
      eosTokenId: 151_645,
      vocabSize: 151_936,
      maxPositions: 32_768,
    },
    maxTokens: completionLength + 15,
    promptIds,
    rollouts,
    producer: 'generator-0',
    timestamp: 1_775_000_000.25 + index,
    seconds: { prompt: 0.01, generate: 4.5, prove: 0.75, reward: 0.125 },
  }
}

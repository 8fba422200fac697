import { createHash } from 'node:crypto'
import type { CheckpointMetadata } from '../../src/checkpoint/metadata.js'
import type { Engine } from '../../src/engine/engine.js'
import { rehearsalEngine } from '../../src/engine/rehearsal.js'
import type { Environment } from '../../src/environment/environment.js'
import { openEnvironment } from '../../src/environment/index.js'
import { bundledTokenizerFolder, loadTokenizer, type Tokenizer } from '../../src/environment/tokenizer.js'
import { advantages } from '../../src/protocol/advantages.js'
import { challengeText, commitDigest, commitmentsJson, nonceOf } from '../../src/protocol/binding.js'
import { hashOfCommitments } from '../../src/protocol/canonical-json.js'
import { coefficients } from '../../src/protocol/coefficients.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { parsePythonJson } from '../../src/protocol/python-json.js'
import { deriveEnvSeed } from '../../src/protocol/seed.js'
import type { Hotkey } from '../../src/wallet/hotkey.js'
import { hotkeyOf, keyPairOfSeed, publicKeyOf, ready, sr25519Verify } from '../../src/wallet/sr25519.js'
import type { ModelFacts } from '../../src/window/group.js'

/** Completions of the baseline are cut by length, all alike: so every mutation meets its check in the first row. */
export const COMPLETION_TOKENS = 40

export const WINDOW = 7_654_320
export const WINDOW_HASH = `0x${createHash('sha256').update('window hash').digest('hex')}`
export const RANDOMNESS = createHash('sha256').update('randomness').digest('hex')

/** A row that mutations may change at will: every value plain. */
export interface PlainRow {
  window_start: number
  block: number
  nonce: number
  block_hash: string
  randomness: string
  use_drand: boolean
  rollout_group: number
  rollout_index: number
  total_in_group: number
  checkpoint_window: number
  commit: {
    tokens: number[]
    /** JSON */
    commitments: string
    proof_version: string
    model: { name: string; layer_index: number }
    signature: string
    /** JSON */
    beacon: string
    rollout: {
      total_reward: number
      advantage: number
      success: boolean
      token_logprobs: number[]
      prompt_length: number
      completion_length: number
    }
  }
  timestamp: number
  challenge: string
  hotkey: string
  signature: string
}

/** Everything a valid window is made and judged with: a rehearsal model, SAT problems, two signing keys. */
export interface Workshop {
  metadata: CheckpointMetadata
  model: ModelFacts
  engine: Engine
  environment: Environment
  tokenizer: Tokenizer
  hotkey: Hotkey
  other: Hotkey
  verify(message: Uint8Array, signature: Uint8Array, signer: string): boolean
}

let opened: Promise<Workshop> | undefined

/** Opened once per process: the tokenizer takes half a second. */
export function workshop(): Promise<Workshop> {
  opened ??= open()
  return opened
}

async function open(): Promise<Workshop> {
  await ready()
  const metadata: CheckpointMetadata = {
    window: WINDOW - 60,
    modelName: 'async_trainer_snapshot',
    weightsHash: '',
    environment: 'sat',
    environmentParams: {},
    generation: { maxTokens: COMPLETION_TOKENS, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 },
    thinkingMode: 'instructed',
  }
  const { signal } = new AbortController()
  const folder = bundledTokenizerFolder()
  const engine = rehearsalEngine({ profile: GRAIL_V5 })
  const model = await engine.start({ metadata, folder }, signal)
  const key = (name: string) => hotkeyOf(keyPairOfSeed(createHash('sha256').update(name).digest()))
  return {
    metadata,
    model,
    engine,
    environment: await openEnvironment('sat', { params: {}, stateFolder: '', signal }),
    tokenizer: await loadTokenizer(folder),
    hotkey: key('miner'),
    other: key('another miner'),
    verify: (message, signature, signer) => {
      try {
        return sr25519Verify(message, signature, publicKeyOf(signer))
      } catch {
        return false
      }
    },
  }
}

/** Sixteen valid rows of a problem, signed. */
export async function groupRows(shop: Workshop, group: number): Promise<PlainRow[]> {
  const { metadata, environment, tokenizer, hotkey, model } = shop
  const problem = environment.problem(deriveEnvSeed(hotkey.ss58, WINDOW_HASH, group))
  const prompt = tokenizer.encode(tokenizer.renderPrompt(problem.prompt, metadata.thinkingMode))
  const texts: string[] = []
  const rows: PlainRow[] = []
  for (let index = 0; index < GRAIL_V5.groupSize; index++) {
    const words = tokenizer.encode(
      `Rollout ${index} of problem ${group}: ${'step by step, '.repeat(COMPLETION_TOKENS)}`,
    )
    const completion = words.subarray(0, COMPLETION_TOKENS)
    texts.push(tokenizer.decode(completion))
    const row: PlainRow = {
      window_start: WINDOW,
      block: WINDOW + 5,
      nonce: nonceOf(GRAIL_V5, group, index),
      block_hash: WINDOW_HASH,
      randomness: RANDOMNESS,
      use_drand: true,
      rollout_group: group,
      rollout_index: index,
      total_in_group: GRAIL_V5.groupSize,
      checkpoint_window: metadata.window,
      commit: {
        tokens: [...prompt, ...completion],
        commitments: '[]',
        proof_version: GRAIL_V5.proofVersion,
        model: { name: model.modelName, layer_index: GRAIL_V5.layerIndex },
        signature: '',
        beacon: JSON.stringify({ randomness: RANDOMNESS }),
        rollout: {
          total_reward: 0,
          advantage: 0,
          success: false,
          token_logprobs: [],
          prompt_length: prompt.length,
          completion_length: completion.length,
        },
      },
      timestamp: 1_775_000_000.25,
      challenge: '',
      hotkey: hotkey.ss58,
      signature: '',
    }
    rows.push(row)
  }
  const rewards = await environment.reward(problem, texts, metadata.thinkingMode, new AbortController().signal)
  const claimed = advantages(rewards.map(({ reward }) => reward))
  for (const [i, row] of rows.entries()) {
    row.commit.rollout.total_reward = rewards[i]?.reward ?? 0
    row.commit.rollout.success = rewards[i]?.success ?? false
    row.commit.rollout.advantage = claimed[i] ?? 0
    await prove(shop, row)
    signRow(row, hotkey)
  }
  return rows
}

/** Commitments and log-probabilities of the row's tokens, as the model gives them; signs the commit. */
export async function prove(shop: Workshop, row: PlainRow): Promise<void> {
  const { commit } = row
  const { rollout } = commit
  rollout.completion_length = commit.tokens.length - rollout.prompt_length
  const reply = await shop.engine.verify(
    {
      profile: GRAIL_V5.id,
      checkpointWindow: shop.metadata.window,
      tokens: Int32Array.from(commit.tokens),
      promptLength: rollout.prompt_length,
      coefficients: coefficients(GRAIL_V5, randomnessOf(row)),
      generation: shop.metadata.generation,
    },
    new AbortController().signal,
  )
  commit.commitments = commitmentsJson(reply.sketches).toString()
  rollout.token_logprobs = [...new Array<number>(rollout.prompt_length).fill(0), ...reply.logprobs]
  signCommit(row, shop.hotkey)
}

export function signCommit(row: PlainRow, hotkey: Hotkey): void {
  const { commit } = row
  const digest = commitDigest({
    tokens: commit.tokens,
    randomness: randomnessOf(row),
    modelName: commit.model.name,
    layerIndex: commit.model.layer_index,
    commitmentsHash: hashOfCommitments(parsePythonJson(commit.commitments)),
  })
  commit.signature = hex(hotkey.sign(digest))
}

export function signRow(
  row: PlainRow,
  hotkey: Hotkey,
  challenge: string = challengeText(row.block_hash, row.nonce),
): void {
  row.challenge = challenge
  row.signature = hex(hotkey.sign(Buffer.from(challenge)))
}

function randomnessOf(row: PlainRow): string {
  return String((JSON.parse(row.commit.beacon) as { randomness: string }).randomness)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

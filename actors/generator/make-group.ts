import type { CheckpointMetadata } from '../../src/checkpoint/metadata.js'
import type { Engine } from '../../src/engine/engine.js'
import { OtherWeights } from '../../src/engine/server/dialect.js'
import type { Environment } from '../../src/environment/environment.js'
import type { Tokenizer } from '../../src/environment/tokenizer.js'
import { advantages } from '../../src/protocol/advantages.js'
import { coefficients } from '../../src/protocol/coefficients.js'
import { type Finding, gateGroup } from '../../src/protocol/gate.js'
import type { Profile } from '../../src/protocol/profile.js'
import { deriveEnvSeed } from '../../src/protocol/seed.js'
import type { Group, ModelFacts } from '../../src/window/group.js'
import type { Clock } from '../actor.js'
import type { Opened } from '../controller/messages.js'
import { expectationOf } from '../expectation.js'

/** What a generator makes groups with: everything of one checkpoint. */
export interface Workshop {
  profile: Profile
  metadata: CheckpointMetadata
  engine: Engine
  /** What the engine said it holds when the checkpoint was loaded. */
  facts: ModelFacts
  environment: Environment
  tokenizer: Tokenizer
}

export interface Task {
  window: number
  epoch: number
  index: number
  opened: Opened
  /** Unix ms: generation past it is given up. */
  latestMs: number
}

/** What the engine answered, before it is rewarded and judged: the engine is free for the next group. */
export interface Generated {
  task: Task
  /** Of the time the engine took: it stood in line behind other groups. */
  waitedMs: number
  /** Rewards, gates and packs what the engine returned; takes no GPU. */
  finish(): Promise<{ group: Group; findings: Finding[] }>
}

const SECOND_MS = 1_000

/**
 * Problem → prompt → 16 completions with proofs, on the engine. What is left to do needs no GPU and is returned as
 * `finish`, so that the engine can go on with the next group.
 * Throws EngineError; OtherWeights when the reply is of other weights than the workshop was verified to hold.
 */
export async function generate(
  { profile, metadata, engine, facts, environment, tokenizer }: Workshop,
  { task, clock, producer, signal }: { task: Task; clock: Clock; producer: string; signal: AbortSignal },
): Promise<Generated> {
  const { opened, index, window, epoch } = task
  const beganMs = clock.now()
  const seed = deriveEnvSeed(opened.hotkey, opened.hash, index)
  const problem = environment.problem(seed)
  const promptIds = tokenizer.encode(tokenizer.renderPrompt(problem.prompt, metadata.thinkingMode))
  const promptedMs = clock.now()
  const reply = await engine.generate(
    {
      profile: profile.id,
      checkpointWindow: opened.checkpoint.window,
      promptIds,
      groupSize: profile.groupSize,
      generation: metadata.generation,
      coefficients: coefficients(profile, opened.randomness),
      deadlineMs: task.latestMs,
      seed,
    },
    signal,
  )
  if (reply.model.checkpointWindow !== facts.checkpointWindow || reply.model.weightsHash !== facts.weightsHash)
    throw new OtherWeights(
      `the engine made a group with checkpoint ${reply.model.checkpointWindow}, weights ${reply.model.weightsHash || '(none)'}; ` +
        `it had loaded ${facts.checkpointWindow}, weights ${facts.weightsHash || '(none)'}`,
    )
  const finish = async () => {
    const rewardingMs = clock.now()
    const texts = reply.completions.map(({ completionIds }) => tokenizer.decode(completionIds))
    const rewards = await environment.reward(problem, texts, metadata.thinkingMode, signal)
    const advantage = advantages(rewards.map(({ reward }) => reward))
    const group: Group = {
      profile: profile.id,
      engine: engine.name,
      hotkey: opened.hotkey,
      window,
      epoch,
      windowHash: opened.hash,
      randomness: opened.randomness,
      index,
      seed,
      environment: environment.id,
      block: opened.block,
      model: reply.model,
      maxTokens: Math.min(metadata.generation.maxTokens, profile.maxNewTokens),
      promptIds,
      rollouts: reply.completions.map((completion, i) => ({
        ...completion,
        reward: rewards[i]!.reward,
        success: rewards[i]!.success,
        advantage: advantage[i]!,
      })),
      producer,
      timestamp: clock.now() / SECOND_MS,
      seconds: {
        prompt: (promptedMs - beganMs) / SECOND_MS,
        generate: reply.seconds.generate,
        prove: reply.seconds.prove,
        reward: (clock.now() - rewardingMs) / SECOND_MS,
      },
    }
    return { group, findings: gateGroup(group, profile, expectationOf(task)) }
  }
  return { task, waitedMs: (reply.seconds.wait ?? 0) * SECOND_MS, finish }
}

import type { ThinkingMode } from '../checkpoint/metadata.js'

/** One problem of a window: what the model is asked, and what is needed to reward an answer. */
export interface Problem {
  environment: string
  /** u32 the problem was derived from. */
  seed: number
  /** Row of the data set, or -1 for procedural problems. */
  row: number
  /** Text of the user message. */
  prompt: string
  /** What the reward needs; opaque to everybody but the environment. */
  answer: unknown
}

export interface Reward {
  reward: number
  success: boolean
}

/** The reward could not be computed: not a wrong answer, but a broken judge. The whole group is dropped. */
export class RewardError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'RewardError'
  }
}

/** Turns seeds into problems and completions into rewards. Deterministic in the seed. */
export interface Environment {
  readonly id: string
  problem(seed: number): Problem
  /**
   * Rewards completions of one problem, in order.
   * @param texts completions decoded WITH special tokens (grail/mining/engine.py:199, 54d6342)
   * @throws RewardError when the judge itself failed
   */
  reward(problem: Problem, texts: string[], mode: ThinkingMode, signal: AbortSignal): Promise<Reward[]>
  close(): Promise<void>
}

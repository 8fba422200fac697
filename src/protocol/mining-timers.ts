import { NOMINAL_BLOCK_MS } from '../window/block.js'

/** Weight of a new sample in the reference's moving averages (one-covenant/grail grail/cli/mine.py EMA_ALPHA, 54d6342). */
const EMA_ALPHA = 0.2
/** Keeps the division defined, seconds (same place). */
const MIN_BLOCK_SECONDS = 0.001

/** How the reference miner decides whether one more group fits. A policy, not consensus. */
export interface TimerPolicy {
  /** Margin before the window's end, blocks. */
  safetyBlocks: number
  /** Guess for a group while none has been measured, blocks. */
  defaultGenerationBlocks: number
  /** Guess for an upload while none has been measured, blocks. */
  defaultUploadBlocks: number
  /** The answer is never above this, blocks. */
  maxBlocks: number
  /** Added to the margin, seconds. */
  bufferSeconds: number
  /** The first group counts at most this long, seconds: it contains warm-up. */
  firstGenerationSeconds: number
}

/** grail/cli/mine.py:131-199, 54d6342, with the defaults of its environment variables. */
export const GRAIL_V5_TIMERS: TimerPolicy = {
  safetyBlocks: 3,
  defaultGenerationBlocks: 6,
  defaultUploadBlocks: 1,
  maxBlocks: 29,
  bufferSeconds: 0,
  firstGenerationSeconds: Number.POSITIVE_INFINITY,
}

/**
 * Agile-Ascent-Limited/Grail grail/cli/mine.py:46-52, 170-197, c66a3e4: the answer is capped by the margin itself.
 * @param safetyBlocks margin and cap, blocks
 */
export function forkTimers(safetyBlocks = 1, bufferSeconds = 0): TimerPolicy {
  return {
    safetyBlocks,
    defaultGenerationBlocks: 3,
    defaultUploadBlocks: 1,
    maxBlocks: safetyBlocks,
    bufferSeconds,
    firstGenerationSeconds: 40,
  }
}

/** Moving averages, seconds. */
export interface Timers {
  blockSeconds: number
  generationSeconds: number | undefined
  uploadSeconds: number | undefined
  lastBlock: { number: number; seconds: number } | undefined
}

/** Nothing measured yet. */
export function startTimers(): Timers {
  return {
    blockSeconds: NOMINAL_BLOCK_MS / 1000,
    generationSeconds: undefined,
    uploadSeconds: undefined,
    lastBlock: undefined,
  }
}

/** A block was seen. An equal or lower number moves the reference point without a sample. */
export function withBlock(timers: Timers, number: number, nowSeconds: number): Timers {
  const { lastBlock, blockSeconds } = timers
  const blocks = lastBlock ? number - lastBlock.number : 0
  const elapsed = lastBlock ? nowSeconds - lastBlock.seconds : 0
  const isSample = blocks > 0 && elapsed > 0
  return {
    ...timers,
    blockSeconds: isSample ? average(blockSeconds, elapsed / blocks) : blockSeconds,
    lastBlock: { number, seconds: nowSeconds },
  }
}

/** A group took this long. */
export function withGeneration(policy: TimerPolicy, timers: Timers, seconds: number): Timers {
  const before = timers.generationSeconds
  const generationSeconds =
    before === undefined ? Math.min(seconds, policy.firstGenerationSeconds) : average(before, seconds)
  return { ...timers, generationSeconds }
}

/** An upload took this long. */
export function withUpload(timers: Timers, seconds: number): Timers {
  const before = timers.uploadSeconds
  return { ...timers, uploadSeconds: before === undefined ? seconds : average(before, seconds) }
}

/** Blocks that one more group and the upload need; stop when no more than these are left (mine.py:163, 54d6342). */
export function blocksNeeded(policy: TimerPolicy, timers: Timers): number {
  const { blockSeconds } = timers
  const generation = timers.generationSeconds ?? policy.defaultGenerationBlocks * blockSeconds
  const upload = timers.uploadSeconds ?? policy.defaultUploadBlocks * blockSeconds
  const total = generation + upload + policy.safetyBlocks * blockSeconds + policy.bufferSeconds
  return Math.min(policy.maxBlocks, Math.max(1, Math.ceil(total / Math.max(MIN_BLOCK_SECONDS, blockSeconds))))
}

function average(before: number, sample: number): number {
  return EMA_ALPHA * sample + (1 - EMA_ALPHA) * before
}

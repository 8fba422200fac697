import { advantages } from '../../src/protocol/advantages.js'
import {
  blocksNeeded,
  forkTimers,
  GRAIL_V5_TIMERS,
  startTimers,
  type TimerPolicy,
  type Timers,
  withBlock,
  withGeneration,
  withUpload,
} from '../../src/protocol/mining-timers.js'
import { windowOf } from '../../src/window/block.js'
import { type Checks, same } from './check.js'
import { fromFloatHex } from './float-hex.js'

/** Advantages and the reference miner's timers. */
export const miningChecks: Checks = {
  'advantages.json': (file, index) => {
    const c = file.cases[index]
    const rewards: number[] = c.rewards_hex ? c.rewards_hex.map(fromFloatHex) : c.rewards
    const bits = (values: readonly number[]) => values.map(value => (Object.is(value, -0) ? '-0' : value))
    const exactly = (actual: number[], expected: string[] | undefined) =>
      expected && same(bits(actual), bits(expected.map(fromFloatHex)))
    return (
      exactly(advantages(rewards), c.advantages_hex_py312) ??
      exactly(advantages(rewards, plainSum), c.advantages_hex_py311) ??
      same(advantages(rewards, plainSum), c.advantages)
    )
  },

  'mining_timers.json': (file, index) => {
    const c = file.cases[index]
    if (c.fn === 'calculate_window_start') return same(windowOf(c.block), c.window_start)
    if (c.sequence) return sequenceFailure(c, GRAIL_V5_TIMERS)
    return same(blocksNeeded({ ...GRAIL_V5_TIMERS, safetyBlocks: c.safety_blocks }, timersOf(c)), c.needed)
  },

  'mining_timers_fork.json': (file, index) => {
    const c = file.cases[index]
    if (c.sequence) return sequenceFailure(c, forkTimers())
    if (c.needed !== undefined)
      return same(blocksNeeded(forkTimers(c.safety_blocks, c.buffer_s), timersOf(c)), c.needed)
    return same(generationAverage(String(c.fn)), c.ema)
  },
}

// biome-ignore lint/suspicious/noExplicitAny: a case of a vector file
type Case = any

/** Left to right, as Python before 3.12 adds floats. */
function plainSum(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}

function timersOf(c: Case): Timers {
  return {
    ...startTimers(),
    blockSeconds: c.block_time_ema_s,
    generationSeconds: c.gen_time_ema_s ?? undefined,
    uploadSeconds: c.upload_time_ema_s ?? undefined,
  }
}

function sequenceFailure(c: Case, policy: TimerPolicy): string | undefined {
  let timers = startTimers()
  if (typeof c.initial === 'number') timers = { ...timers, blockSeconds: c.initial }
  for (const [step, expected] of c.sequence.entries()) {
    if (c.fn.startsWith('update_block_time')) timers = withBlock(timers, expected.block, expected.now)
    else if (c.fn.startsWith('update_gen_time')) timers = withGeneration(policy, timers, expected.sample)
    else if (c.fn.startsWith('update_upload_time')) timers = withUpload(timers, expected.sample)
    else return `no check knows the function ${c.fn}`
    const average = c.fn.startsWith('update_block_time')
      ? timers.blockSeconds
      : c.fn.startsWith('update_gen_time')
        ? timers.generationSeconds
        : timers.uploadSeconds
    const failure = same(average, expected.ema)
    if (failure) return `step ${step}: ${failure}`
  }
  return undefined
}

/**
 * The fork's moving average after the samples a case's title tells: a first one above its cap of 40 s, and, where the title
 * starts with "then", the named one after it.
 */
function generationAverage(title: string): number | undefined {
  const named = Number(/\d+(\.\d+)?(?!.*\d)/.exec(title)?.[0])
  const policy = forkTimers()
  const first = title.startsWith('then') ? policy.firstGenerationSeconds + 1 : named
  const timers = withGeneration(policy, startTimers(), first)
  return (title.startsWith('then') ? withGeneration(policy, timers, named) : timers).generationSeconds
}

import { GROUP_SAMPLES, median, p90 } from '../../src/window/deadline.js'

/** How long this generator's groups take, over the newest of them. Everything in ms, undefined before the first group. */
export interface Pace {
  /**
   * @param ms one whole group, from its claim to its staged event, but for what it stood in line at the engine
   * @param stagingMs of it what came after the engine: rewards, gate, staging
   */
  finished(ms: number, stagingMs: number): void
  /** p90 of a group. */
  groupMs(): number | undefined
  /** Half of the groups took no longer than this. */
  likelyMs(): number | undefined
  /** p90 of what a group takes after the engine. */
  stagingMs(): number | undefined
}

export function measurePace(): Pace {
  const groups: number[] = []
  const stagings: number[] = []
  return {
    finished(ms, stagingMs) {
      groups.push(ms)
      stagings.push(stagingMs)
      for (const samples of [groups, stagings]) if (samples.length > GROUP_SAMPLES) samples.shift()
    },
    groupMs: () => p90(groups),
    likelyMs: () => median(groups),
    stagingMs: () => p90(stagings),
  }
}

import { GROUP_SAMPLES, lowerQuartile, median, p90 } from '../../src/window/deadline.js'

/** How long this generator's groups take, over the newest of them. Everything in ms, undefined before the first group. */
export interface Pace {
  /**
   * @param ms one whole group, from its claim to its staged event, but for what it stood in line at the engine
   * @param stagingMs of it what came after the engine: rewards, gate, staging
   */
  finished(ms: number, stagingMs: number): void
  /** p90 of a group. */
  groupMs(): number | undefined
  /** With this left one group in four would be done: so many took no longer at the engine, and half took no longer after it. */
  luckyMs(): number | undefined
  /** Median of what a group takes after the engine: a slow spell of the broker is forgotten at once. */
  stagingMs(): number | undefined
}

export function measurePace(): Pace {
  const groups: number[] = []
  const engines: number[] = []
  const stagings: number[] = []
  return {
    finished(ms, stagingMs) {
      groups.push(ms)
      engines.push(ms - stagingMs)
      stagings.push(stagingMs)
      for (const samples of [groups, engines, stagings]) if (samples.length > GROUP_SAMPLES) samples.shift()
    },
    groupMs: () => p90(groups),
    luckyMs() {
      const [engine, staging] = [lowerQuartile(engines), median(stagings)]
      return engine === undefined || staging === undefined ? undefined : engine + staging
    },
    stagingMs: () => median(stagings),
  }
}

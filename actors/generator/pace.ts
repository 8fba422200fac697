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
  /** With this left one group in four would be done: so many took no longer at the engine, and `stagingMs` is left for what comes after it. */
  luckyMs(): number | undefined
  /** What has to be left for a group after the engine: the p90 of it, or STAGING_MEDIANS medians, whichever is less. */
  stagingMs(): number | undefined
}

/** A slow spell of the broker raises the p90 for fifty groups: so many medians are the most that counts of it. */
const STAGING_MEDIANS = 3

export function measurePace(): Pace {
  const groups: number[] = []
  const engines: number[] = []
  const stagings: number[] = []
  const stagingMs = () => {
    const [most, half] = [p90(stagings), median(stagings)]
    return most === undefined || half === undefined ? undefined : Math.min(most, STAGING_MEDIANS * half)
  }
  return {
    finished(ms, stagingMs) {
      groups.push(ms)
      engines.push(ms - stagingMs)
      stagings.push(stagingMs)
      for (const samples of [groups, engines, stagings]) if (samples.length > GROUP_SAMPLES) samples.shift()
    },
    groupMs: () => p90(groups),
    luckyMs() {
      const [engine, staging] = [lowerQuartile(engines), stagingMs()]
      return engine === undefined || staging === undefined ? undefined : engine + staging
    },
    stagingMs,
  }
}

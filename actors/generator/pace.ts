import { GROUP_SAMPLES, p90 } from '../../src/window/deadline.js'

/** How long this generator's groups take. */
export interface Pace {
  /** @param ms one whole group, from its claim to its staged event, but for what it stood in line at the engine */
  finished(ms: number): void
  /** p90 in ms; undefined before the first group. */
  groupMs(): number | undefined
}

export function measurePace(): Pace {
  const samples: number[] = []
  return {
    finished(ms) {
      samples.push(ms)
      if (samples.length > GROUP_SAMPLES) samples.shift()
    },
    groupMs: () => p90(samples),
  }
}

import type { Figure } from './report/figure.js'

/** What a benchmark is given. */
export interface Circumstances {
  /** Real windows, many claimers, everything the day's form leaves out. */
  long: boolean
  /** Repetitions of what is short enough to be repeated. */
  repetitions: number
  /** Where pictures go. */
  pictures: string
  /** One line for whoever watches. */
  say(line: string): void
}

/** One benchmark of the suite. */
export interface Benchmark {
  name: string
  /** What is measured, in a sentence. */
  about: string
  run(circumstances: Circumstances): Promise<Figure[]>
}

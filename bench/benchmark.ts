import type { Figure } from './report/figure.js'

/** What a benchmark is given. */
export interface Circumstances {
  /** Real windows, large fleets, everything the day's form leaves out. */
  long: boolean
  /** Repetitions of what is short enough to be repeated. */
  repetitions: number
  /** Keeps a picture. @param name of its file, without `.svg` */
  draw(name: string, title: string, svg: string): void
  /** One line for whoever watches. */
  say(line: string): void
}

/** One benchmark of the suite. */
export interface Benchmark {
  name: string
  /** What is measured, in a sentence. */
  about: string
  /** In which form of the suite it runs without being named; both when absent. */
  only?: 'long'
  run(circumstances: Circumstances): Promise<Figure[]>
}

import { readBigram } from '../../test/helpers/bigram-model.js'

/** Completions of the tiny model, sampled as they are: temperature 1, nothing cut off. */
export interface Sampler {
  /** The same completion for the same `seed`. Ends on `eos` or at `maxTokens`; log-probabilities of the chosen tokens. */
  sample(last: number, options: { seed: number; maxTokens: number; eos: number }): { ids: number[]; logprobs: number[] }
}

/** Chances of all successors, added up, are made once: a token then costs one binary search, and the cores are left to the fleet. */
export function storySampler(folder: string): Sampler {
  const rows = readBigram(folder).map(logits => {
    const most = Math.max(...logits)
    const sum = logits.reduce((all, x) => all + Math.exp(x - most), 0)
    const logprobs = logits.map(x => x - most - Math.log(sum))
    let reached = 0
    return { logprobs, upTo: logprobs.map(x => (reached += Math.exp(x))) }
  })
  return {
    sample(last, { seed, maxTokens, eos }) {
      const random = generator(seed)
      const ids: number[] = []
      const logprobs: number[] = []
      for (let row = rows[last]; ids.length < maxTokens && ids.at(-1) !== eos; row = rows[ids.at(-1) as number]) {
        if (!row) throw new RangeError(`token ${ids.at(-1) ?? last} is not in the vocabulary`)
        const id = firstAtLeast(row.upTo, random())
        ids.push(id)
        logprobs.push(row.logprobs[id] as number)
      }
      return { ids, logprobs }
    },
  }
}

/** Index of the first of ascending values that reaches `wanted`, else the last index. */
function firstAtLeast(ascending: Float64Array, wanted: number): number {
  let low = 0
  let high = ascending.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ascending[middle] as number) >= wanted) high = middle
    else low = middle + 1
  }
  return low
}

/** Uniform in [0, 1): mulberry32, which is enough for lengths and letters. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

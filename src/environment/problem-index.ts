import { PythonRandom } from '../protocol/python-random.js'

/** Row of a u32 seed in a list of n rows, spread by scaling: gsm8k, math, triton_kernel (grail/environments/providers.py:151-174, 54d6342). */
export function scaledIndex(seed: number, n: number): number {
  return Math.trunc((seed / 2 ** 32) * n)
}

/** Row of a u32 seed in a list of n rows, by remainder: mbpp, python_code, humaneval (grail/environments/providers.py:639, 764, 54d6342). */
export function remainderIndex(seed: number, n: number): number {
  return seed % n
}

/** Seed of every shuffle that parts data sets (grail/environments/providers.py, 54d6342). */
const SPLIT_SEED = 42

/** A fresh generator for parting one data set. Parts of the same data set share it, in order. */
export function splitRandom(): PythonRandom {
  return new PythonRandom(SPLIT_SEED)
}

/** 0 … n−1 in shuffled order. */
export function shuffledIndices(n: number, random: PythonRandom): number[] {
  const indices = Array.from({ length: n }, (_, index) => index)
  random.shuffle(indices)
  return indices
}

/** Parts a list: the `size` rows drawn first are held back for validation. Both lists keep the rows' order. */
export function holdBack<Row>(
  rows: readonly Row[],
  size: number,
  random: PythonRandom,
): { train: Row[]; validation: Row[] } {
  const held = new Set(shuffledIndices(rows.length, random).slice(0, size))
  return {
    train: rows.filter((_, index) => !held.has(index)),
    validation: rows.filter((_, index) => held.has(index)),
  }
}

/** What to do about an index that was claimed but is not there when the file is sealed. */
export type HolePolicy = 'keep' | 'truncate'

/** Indices of `staged` that go into the file, ascending: all of them, or those before the first hole (profiles that need contiguous groups). */
export function writable(staged: Iterable<number>, policy: HolePolicy): number[] {
  const ascending = [...staged].sort((a, b) => a - b)
  if (policy === 'keep') return ascending
  const hole = firstHole(ascending)
  return hole === undefined ? ascending : ascending.filter(index => index < hole)
}

/** Lowest index that is missing below the highest one present; undefined when the indices are dense from 0. */
export function firstHole(present: Iterable<number>): number | undefined {
  const ascending = [...new Set(present)].sort((a, b) => a - b)
  for (const [expected, index] of ascending.entries()) if (index !== expected) return expected
  return undefined
}

/** Storage of the chain at one block: hex key → hex value. Copied for the next block; values are shared. */
export type State = Map<string, string>

/** Keys under `prefix`, ascending. */
export function keysUnder(state: State, prefix: string): string[] {
  return [...state.keys()].filter(key => key.startsWith(prefix)).sort((a, b) => (a < b ? -1 : 1))
}

/** Entries of `after` that differ from `before`; undefined = gone. */
export function difference(before: State, after: State): Map<string, string | undefined> {
  const changed = new Map<string, string | undefined>()
  for (const [key, value] of after) if (before.get(key) !== value) changed.set(key, value)
  for (const key of before.keys()) if (!after.has(key)) changed.set(key, undefined)
  return changed
}

/** `[0,1,2,5]` as `[[0,2],[5,5]]`: first and last of every run. */
export function rangesOf(ascending: readonly number[]): [number, number][] {
  const found: [number, number][] = []
  for (const index of ascending) {
    const last = found.at(-1)
    if (last && last[1] === index - 1) last[1] = index
    else found.push([index, index])
  }
  return found
}

/** What `rangesOf` was made from, in the same order. */
export function indicesOf(ranges: readonly (readonly [number, number])[]): Set<number> {
  return new Set(ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i)))
}

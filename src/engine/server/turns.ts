/** How long who comes now would stand in line for a place at the server. */
export interface Turns {
  /** A turn begins. @returns the function that says that it is over (once): whether it was a whole one */
  begin(): (whole: boolean) => void
  /**
   * Until a place is free for one more, ms, as far as earlier turns tell; 0 before the first was over.
   * @param places there are
   * @param waiting in line already
   */
  waitMs(places: number, waiting: number): number
}

/** Turns remembered: completions of other prompts and checkpoints have other lengths. */
const SAMPLES = 20

/** @param now monotonic or Unix ms */
export function expectTurns(now: () => number): Turns {
  const lasted: number[] = []
  const running = new Set<{ beganMs: number }>()

  return {
    begin() {
      const turn = { beganMs: now() }
      running.add(turn)
      return whole => {
        if (!running.delete(turn) || !whole) return
        lasted.push(now() - turn.beganMs)
        if (lasted.length > SAMPLES) lasted.shift()
      }
    },

    waitMs(places, waiting) {
      const before = waiting - (places - running.size)
      const typicalMs = [...lasted].sort((a, b) => a - b)[Math.floor(lasted.length / 2)]
      if (before < 0 || typicalMs === undefined || running.size === 0) return 0
      const left = [...running].map(({ beganMs }) => Math.max(0, beganMs + typicalMs - now())).sort((a, b) => a - b)
      return (left[before % left.length] as number) + Math.floor(before / left.length) * typicalMs
    },
  }
}

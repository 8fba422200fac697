import type { OpenWindow } from '../windows.js'

/** Indices this process has claimed and not yet staged, given up, or left to others. Presence lists them. */
export interface InFlight {
  begin(window: OpenWindow, index: number): void
  end(window: OpenWindow, index: number): void
  /** Those of the newest window: the ones of a window that was taken back may still be on their way out. */
  newest(): { window: OpenWindow; indices: number[] } | undefined
}

/** @param onChange called after every change, so that it can be said at once */
export function trackInFlight(onChange: () => void): InFlight {
  const working = new Map<string, { window: OpenWindow; index: number }>()
  const keyOf = ({ window, epoch }: OpenWindow, index: number) => `${window}.${epoch}.${index}`
  return {
    begin(window, index) {
      working.set(keyOf(window, index), { window, index })
      onChange()
    },
    end(window, index) {
      working.delete(keyOf(window, index))
      onChange()
    },
    newest() {
      const all = [...working.values()]
      const window = all.at(-1)?.window
      return window && { window, indices: all.filter(entry => entry.window === window).map(({ index }) => index) }
    },
  }
}

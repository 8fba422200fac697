/** How much of the time at least one group was being generated. */
export interface Busy {
  /** @returns the function that says that it is over (once) */
  enter(): () => void
  /** Since the last reset, ms. */
  read(): { busyMs: number; ofMs: number }
  reset(): void
}

/** @param now monotonic or Unix ms */
export function busyTime(now: () => number): Busy {
  let inside = 0
  let sinceMs = now()
  let busyMs = 0
  let lastMs = sinceMs

  function account(): void {
    const nowMs = now()
    if (inside > 0) busyMs += nowMs - lastMs
    lastMs = nowMs
  }

  return {
    enter() {
      account()
      inside++
      let left = false
      return () => {
        if (left) return
        left = true
        account()
        inside--
      }
    },
    read() {
      account()
      return { busyMs, ofMs: lastMs - sinceMs }
    },
    reset() {
      account()
      sinceMs = lastMs
      busyMs = 0
    },
  }
}

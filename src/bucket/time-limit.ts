/** Longest delay a timer of Node takes, ms; a longer one would fire at once. */
const LONGEST_MS = 2 ** 31 - 1

/** A signal that also fires after some time. */
export interface TimeLimit {
  readonly signal: AbortSignal
  /** Whether time ran out; false when the outer signal fired first. */
  readonly expired: boolean
  /** Takes timer and listener back; call it when the work is over. */
  end(): void
}

/**
 * Bounds one piece of work in time, under an outer signal. Not AbortSignal.any: in Node 20 every call of it leaves
 * something behind on a signal that lives as long as the process.
 * @param ms how long the work may take
 * @param reason what the signal's reason is when time runs out
 */
export function timeLimit(outer: AbortSignal, ms: number, reason: () => Error): TimeLimit {
  const controller = new AbortController()
  let expired = false
  const timer = setTimeout(
    () => {
      expired = true
      controller.abort(reason())
    },
    Math.min(Math.max(0, ms), LONGEST_MS),
  )
  const pass = () => controller.abort(outer.reason)
  if (outer.aborted) pass()
  else outer.addEventListener('abort', pass, { once: true })
  return {
    signal: controller.signal,
    get expired() {
      return expired
    },
    end() {
      clearTimeout(timer)
      outer.removeEventListener('abort', pass)
    },
  }
}

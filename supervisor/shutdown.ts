/**
 * An actor that has not ended this long after the first signal is ended: supervisord would kill it a little later, and
 * with it alone, not the process groups of its children. So these have to be gone by then: whatever a stop waits for has
 * to add up to less (src/engine/server/options.ts, termMs).
 */
export const PATIENCE_MS = 15_000

/**
 * The signal everything hangs on. The first SIGTERM or SIGINT aborts it, so that work is put down; the second one, or
 * PATIENCE_MS, ends the process at once.
 */
export function untilStopped(): AbortSignal {
  const stop = new AbortController()
  const onSignal = (name: NodeJS.Signals) => {
    if (stop.signal.aborted) process.exit(1)
    stop.abort(new Error(`stopped by ${name}`))
    setTimeout(() => process.exit(1), PATIENCE_MS).unref()
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return stop.signal
}

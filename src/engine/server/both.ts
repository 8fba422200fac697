import { EngineError } from '../engine.js'

/**
 * Two loads at once, of which neither is worth anything without the other: when one fails the other is given up.
 * @returns what the first one gives
 * @throws EngineError of the one that failed by itself; the signal's reason
 */
export async function bothOrNone<T>(
  first: (signal: AbortSignal) => Promise<T>,
  second: (signal: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
): Promise<T> {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const both = [first(either), second(either)] as const
  for (const one of both) one.catch(() => stop.abort(new EngineError('the other half of the engine failed', 'later')))
  const [one, other] = await Promise.allSettled(both)
  signal.throwIfAborted()
  const failures = [one, other].flatMap(half =>
    half.status === 'rejected' && half.reason !== stop.signal.reason ? [half.reason as Error] : [],
  )
  if (one.status === 'fulfilled' && failures.length === 0) return one.value
  const [failure] = failures
  throw failure instanceof EngineError
    ? failure
    : new EngineError(failure?.message ?? 'it failed', 'later', { cause: failure })
}

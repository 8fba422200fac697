import { EngineError } from '../engine.js'

/**
 * Two loads at once, of which neither is worth anything without the other: when one fails the other is given up.
 * @returns what the first one gives
 * @throws EngineError of the one that failed first; the signal's reason
 */
export async function bothOrNone<T>(
  first: (signal: AbortSignal) => Promise<T>,
  second: (signal: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
): Promise<T> {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const both = [first(either), second(either)] as const
  // In the order they happened: the one that is given up fails too, later and with whatever it makes of that.
  const failures: Error[] = []
  for (const half of both)
    half.catch((error: Error) => {
      failures.push(error)
      stop.abort(new EngineError('the other half of the engine failed', 'later'))
    })
  const [one] = await Promise.allSettled(both)
  signal.throwIfAborted()
  if (one.status === 'fulfilled' && failures.length === 0) return one.value
  const [failure] = failures
  throw failure instanceof EngineError
    ? failure
    : new EngineError(failure?.message ?? 'it failed', 'later', { cause: failure })
}

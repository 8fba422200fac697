import { scope } from './scope.js'

/**
 * Does `work` for all items in order, `width` at a time. When one fails the others are ended by their signal, and its error
 * is thrown when all have ended.
 */
export async function inParallel<T>(
  items: Iterable<T>,
  width: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const inner = scope(signal)
  const queue = items[Symbol.iterator]()
  let failed: { error: unknown } | undefined
  const lane = async () => {
    for (let next = queue.next(); !next.done && !inner.signal.aborted; next = queue.next()) {
      try {
        await work(next.value, inner.signal)
      } catch (error) {
        failed ??= { error }
        inner.abort(error)
      }
    }
  }
  try {
    await Promise.all(Array.from({ length: width }, lane))
  } finally {
    inner.end()
  }
  signal.throwIfAborted()
  if (failed) throw failed.error
}

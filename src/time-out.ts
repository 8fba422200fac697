/**
 * A signal that fires after `ms`, and does so whoever holds it. `AbortSignal.timeout` may be collected as garbage where only a
 * combination by `AbortSignal.any` refers to it, and then that never fires: Node 20 keeps one only while somebody listens to it.
 */
export function timeOut(ms: number): AbortSignal {
  const signal = AbortSignal.timeout(ms)
  signal.addEventListener('abort', () => {}, { once: true })
  return signal
}

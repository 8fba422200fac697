import { setMaxListeners } from 'node:events'

/** A signal of its own for one piece of work. */
export interface Scope {
  readonly signal: AbortSignal
  /** Ends the work with this reason; a second reason is ignored. */
  abort(reason: unknown): void
  /** Takes the listeners back; call it when the work is over. */
  end(): void
}

/** A signal that fires with any of `outer` and can be fired alone. Not AbortSignal.any: in Node 20 every call of it leaves something behind on signals that live as long as the process. */
export function scope(...outer: readonly AbortSignal[]): Scope {
  const controller = new AbortController()
  // As many follow it as there are requests at once; Node warns from the eleventh on.
  setMaxListeners(0, controller.signal)
  const follow = outer.map(signal => {
    const pass = () => controller.abort(signal.reason)
    if (signal.aborted) pass()
    else signal.addEventListener('abort', pass, { once: true })
    return () => signal.removeEventListener('abort', pass)
  })
  return {
    signal: controller.signal,
    abort: reason => controller.abort(reason),
    end: () => {
      for (const unfollow of follow) unfollow()
    },
  }
}

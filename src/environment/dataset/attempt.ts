import { setTimeout as wait } from 'node:timers/promises'

/** How often something is tried, ms before the second try (doubled each time, with jitter), and ms of silence that count as dead. */
const ATTEMPTS = 4
const FIRST_WAIT_MS = 500
export const SILENCE_MS = 30_000

/** A request that would fail the same way again. */
export class NoUse extends Error {}

/** Cuts a transfer that went silent. */
export interface Silence {
  /** Aborts when the caller does, or when nothing was heard for SILENCE_MS. */
  signal: AbortSignal
  heard(): void
}

/** Tries up to four times, waiting in between, unless the caller aborts or `once` throws NoUse. Throws the last reason. */
export async function attempt<T>(signal: AbortSignal, once: (silence: Silence) => Promise<T>): Promise<T> {
  for (let count = 1; ; count++) {
    signal.throwIfAborted()
    const dead = new AbortController()
    const timer = setTimeout(() => dead.abort(new Error(`no byte for ${SILENCE_MS / 1000} s`)), SILENCE_MS)
    try {
      return await once({ signal: AbortSignal.any([signal, dead.signal]), heard: () => timer.refresh() })
    } catch (cause) {
      if (signal.aborted || cause instanceof NoUse || count === ATTEMPTS) throw reasonOf(cause)
    } finally {
      clearTimeout(timer)
    }
    // jitter needs no seed: nothing but politeness depends on it
    await wait(FIRST_WAIT_MS * 2 ** (count - 1) * (0.5 + Math.random()), undefined, { signal })
  }
}

/** The answer to a GET, or an error: NoUse unless a later try may fare better. */
export async function answer(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  const response = await fetch(url, { headers, signal })
  if (response.ok && response.body) return response
  await response.body?.cancel()
  const text = `${url} answers ${response.status} ${response.statusText}`
  const passing = response.status >= 500 || response.status === 429 || response.status === 408
  throw passing ? new Error(text) : new NoUse(text)
}

/** fetch hides the reason behind "fetch failed". */
function reasonOf(error: unknown): Error {
  const { cause } = error as { cause?: unknown }
  return cause instanceof Error && cause.message !== '' ? cause : (error as Error)
}

import { timeOut } from '../../time-out.js'
import { EngineError } from '../engine.js'
import { healthOf } from './health.js'
import { type ServerAddress, serverAddress } from './http.js'
import type { GenerationServer, ServerState } from './server.js'
import type { WatchOptions } from './supervised.js'

export interface AttachedOptions extends WatchOptions {
  /** Where it listens, e.g. http://127.0.0.1:30000. */
  url: string
  apiKey?: string
}

/** What a caller is told while it is not well: nobody here can start it, so its owner is given a moment. */
const RETRY_MS = 10_000

/** A server that somebody else started: looked at, never started, never ended. */
export function attachedServer(options: AttachedOptions): GenerationServer {
  const { url, apiKey, probe, healthEveryMs, healthMs, onLog } = options
  let state: { state: ServerState; reason: string } = { state: 'stopped', reason: 'not asked yet' }
  const address: ServerAddress = serverAddress(url, apiKey)
  let incarnation = 0
  let watching: { control: AbortController; done: Promise<void> } | undefined
  const health = healthOf({
    probe: signal => probe(address, signal),
    everyMs: healthEveryMs,
    timeoutMs: healthMs,
    failures: Number.POSITIVE_INFINITY,
    onChange(trouble) {
      onLog(
        trouble === undefined ? `the server at ${url} is well again` : `the server at ${url} is not well: ${trouble}`,
      )
      // It may have been started anew meanwhile, with other weights.
      if (trouble === undefined) incarnation++
      state = trouble === undefined ? { state: 'ready', reason: '' } : { state: 'degraded', reason: trouble }
    },
  })

  async function stop(): Promise<void> {
    watching?.control.abort()
    await watching?.done
    watching = undefined
    state = { state: 'stopped', reason: 'not asked yet' }
    address.agent.destroy()
  }

  return {
    owned: false,
    state: () => state,
    suspect: health.suspect,
    well: health.well,
    relaunchWith() {},
    stop,

    up() {
      if (state.state === 'ready') return { ...address, incarnation }
      throw new EngineError(`the server at ${url} is ${state.state}: ${state.reason}`, 'later', {
        retryAfterMs: RETRY_MS,
      })
    },

    async start(_, signal) {
      if (watching) return
      state = { state: 'starting', reason: 'asked for the first time' }
      const limit = timeOut(healthMs)
      try {
        await probe(address, AbortSignal.any([signal, limit]))
      } catch (cause) {
        state = { state: 'stopped', reason: (cause as Error).message }
        signal.throwIfAborted()
        if (cause instanceof EngineError && cause.next === 'never') throw cause
        const reason = limit.aborted ? `it did not generate within ${healthMs / 1_000} s` : (cause as Error).message
        throw new EngineError(`the server at ${url} is not well: ${reason}`, 'later', { retryAfterMs: RETRY_MS, cause })
      }
      incarnation++
      state = { state: 'ready', reason: '' }
      const control = new AbortController()
      watching = { control, done: health.watch(control.signal).then(() => {}) }
    },
  }
}

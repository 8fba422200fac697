import { setTimeout as sleep } from 'node:timers/promises'
import { timeOut } from '../../time-out.js'

export interface HealthOptions {
  /** A real tiny generation; throws when it fails. */
  probe: (signal: AbortSignal) => Promise<void>
  /** How often a server nobody heard of is asked, ms. */
  everyMs: number
  /** How long its answer may take, ms. */
  timeoutMs: number
  /** Failures in a row after which it is given up. */
  failures: number
  /** undefined: it is well (again). */
  onChange: (trouble: string | undefined) => void
  now?: () => number
}

export interface Health {
  suspect(reason: string): void
  well(): void
  /** Resolves with the reason when it should be given up, or with undefined when the signal is aborted. */
  watch(signal: AbortSignal): Promise<string | undefined>
}

/** A server under suspicion is asked again this much sooner than in its turn. */
const SUSPECT_SHARE = 0.2

/** Whether a server is well, by what its callers say and, when they say nothing, by asking it to generate. */
export function healthOf({ probe, everyMs, timeoutMs, failures, onChange, now = Date.now }: HealthOptions): Health {
  let lastGoodMs = now()
  let suspicion: string | undefined
  let wake = new AbortController()

  async function ask(signal: AbortSignal): Promise<string | undefined> {
    const limit = timeOut(timeoutMs)
    try {
      await probe(AbortSignal.any([signal, limit]))
      return undefined
    } catch (error) {
      if (limit.aborted) return `it did not generate within ${timeoutMs / 1_000} s`
      return (error as Error).message
    }
  }

  return {
    suspect(reason) {
      suspicion = reason
      wake.abort()
    },

    well() {
      lastGoodMs = now()
    },

    async watch(signal) {
      lastGoodMs = now()
      suspicion = undefined
      for (let failed = 0; !signal.aborted; ) {
        wake = new AbortController()
        if (suspicion === undefined || failed > 0)
          await sleep(failed > 0 ? everyMs * SUSPECT_SHARE : everyMs, undefined, {
            signal: failed > 0 ? signal : AbortSignal.any([signal, wake.signal]),
          }).catch(() => {})
        if (signal.aborted) return undefined
        if (suspicion === undefined && failed === 0 && now() - lastGoodMs < everyMs) continue
        const suspected = suspicion
        const askedMs = now()
        const trouble = await ask(signal)
        if (signal.aborted) return undefined
        // A full server may be slow to take the question and still answer everybody else.
        if (trouble === undefined || lastGoodMs > askedMs) {
          suspicion = undefined
          lastGoodMs = now()
          if (failed > 0) onChange(undefined)
          failed = 0
          continue
        }
        failed++
        const reason = suspected === undefined ? trouble : `${suspected}; then ${trouble}`
        onChange(reason)
        if (failed >= failures) return reason
      }
      return undefined
    },
  }
}

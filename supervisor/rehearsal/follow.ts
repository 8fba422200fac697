import { followJournal } from '../../actors/journal.js'
import type { Broker } from '../../nats/index.js'

/** The fleet's word about one window, as the journal has it. */
export interface Followed {
  window: number
  epoch: number
  state: string
  reason?: string
  key?: string
  hash: string
  hotkey: string
  rollouts: number
  problems: number
  bytes: number
  secondsLeft?: number
}

const clockText = (ms: number) => new Date(ms).toISOString().slice(11, 19)

/**
 * Tells the way of the windows in lines for people until one of them has an object, or `signal` aborts.
 * @param sinceMs older windows are not told, unix ms
 */
export async function followToFile(
  broker: Broker,
  { signal, sinceMs, say }: { signal: AbortSignal; sinceMs: number; say(line: string): void },
): Promise<Followed> {
  const windows = new Map<string, { hash: string; hotkey: string; staged: number; key?: string; told: number }>()
  const stop = new AbortController()
  const { promise: found, resolve, reject } = withResolvers<Followed>()
  const until = AbortSignal.any([signal, stop.signal])
  until.addEventListener('abort', () => reject(until.reason), { once: true })
  const journal = followJournal(broker, 'all', {
    signal: until,
    onBroken: () => {},
    onEvent: event => {
      if (event.timeMs < sinceMs) return
      const id = `${event.window}.${event.epoch}`
      const tell = (line: string) => say(`${clockText(event.timeMs)}  window ${event.window}  ${line}`)
      if (event.kind === 'opened') {
        windows.set(id, { hash: event.payload.hash, hotkey: event.payload.hotkey, staged: 0, told: 0 })
        const left = Math.round((event.payload.timers.deadlineMs - event.timeMs) / 1000)
        tell(`opened: ${left} s until its object must be complete (${event.payload.checkpoint.environment})`)
        return
      }
      const window = windows.get(id)
      if (!window) return
      if (event.kind === 'staged') {
        window.staged++
        // A line for every doubling: progress without a wall of text.
        if (window.staged >= Math.max(1, window.told * 2)) {
          window.told = window.staged
          tell(`${window.staged} group${window.staged === 1 ? '' : 's'} of 16 staged`)
        }
      } else if (event.kind === 'gaveup') tell(`group ${event.index} given up: ${event.payload.detail}`)
      else if (event.kind === 'state' && event.payload.state !== 'done')
        tell(`${event.payload.state}${event.payload.why === '' ? '' : `: ${event.payload.why}`}`)
      else if (event.kind === 'sealed')
        tell(`file sealed: ${event.payload.rows} rollouts, ${(event.payload.bytes / 1e6).toFixed(2)} MB`)
      else if (event.kind === 'uploaded') {
        window.key = event.payload.key
        tell(`object verified, ${event.payload.secondsLeft.toFixed(1)} s before the deadline`)
      } else if (event.kind === 'summarised') {
        const s = event.payload
        tell(`${s.state}${s.reason === undefined ? '' : ` (${s.reason})`}`)
        if (s.state !== 'UPLOADED' && s.state !== 'TRUNCATED') return
        resolve({
          window: event.window,
          epoch: event.epoch,
          state: s.state,
          hash: window.hash,
          hotkey: window.hotkey,
          rollouts: s.rollouts,
          problems: s.problems,
          bytes: s.bytes,
          ...(window.key === undefined ? {} : { key: window.key }),
          ...(s.secondsLeft === undefined ? {} : { secondsLeft: s.secondsLeft }),
        })
      }
    },
  })
  try {
    return await found
  } finally {
    stop.abort(new Error('followed to the end'))
    await journal.done.catch(() => {})
  }
}

/** Promise.withResolvers, which Node 20 does not have. */
function withResolvers<T>() {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

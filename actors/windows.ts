import type { Broker } from '../nats/index.js'
import type { Timers } from '../src/window/deadline.js'
import type { Log } from './actor.js'
import type { CheckpointName, Opened, WindowState } from './controller/messages.js'
import { followJournal } from './journal.js'

/** A window as everybody but the controller sees it: what the journal's control events say. */
export interface OpenWindow {
  readonly window: number
  readonly epoch: number
  readonly opened: Opened
  timers: Timers
  /** The checkpoint the window after this one is expected to be opened with, when it is another one than this one's. */
  next: CheckpointName | undefined
  state: WindowState
  why: string
  /** Block W is final under the window's hash. */
  final: boolean
  /** Aborts when the window is worthless: skipped, failed, or a later epoch or window has taken its place. */
  readonly worthless: AbortSignal
}

const OVER: ReadonlySet<WindowState> = new Set<WindowState>(['done', 'skipped', 'failed'])

export function isOver({ state }: OpenWindow): boolean {
  return OVER.has(state)
}

/** Windows remembered: the one that is mined, the one being verified, and their epochs. */
const KEPT = 8

export interface Windows {
  /** The newest window that has been opened; undefined before the first. */
  latest(): OpenWindow | undefined
  all(): readonly OpenWindow[]
  caughtUp: Promise<void>
  done: Promise<void>
}

/**
 * Follows the control events of all windows.
 * @param onChange called after every event, with the window it was about
 */
export function followWindows(
  broker: Broker,
  { signal, log, onChange }: { signal: AbortSignal; log: Log; onChange(changed: OpenWindow): void },
): Windows {
  const known = new Map<string, OpenWindow & { end: AbortController }>()
  const newest = () => {
    let found: OpenWindow | undefined
    for (const window of known.values())
      if (!found || window.window > found.window || (window.window === found.window && window.epoch > found.epoch))
        found = window
    return found
  }
  const { caughtUp, done } = followJournal(broker, 'control', {
    signal,
    onBroken: (subject, error) => log.error({ subject, err: error }, 'an event of the journal cannot be read: skipped'),
    onEvent: event => {
      const key = `${event.window}.${event.epoch}`
      if (event.kind === 'opened' && !known.has(key)) {
        const end = new AbortController()
        known.set(key, {
          window: event.window,
          epoch: event.epoch,
          opened: event.payload,
          timers: event.payload.timers,
          next: undefined,
          state: 'generating',
          why: '',
          final: false,
          worthless: end.signal,
          end,
        })
        for (const other of known.values())
          if (other.window === event.window && other.epoch < event.epoch) other.end.abort(new Error('a later epoch'))
        for (const old of [...known.keys()].slice(0, -KEPT)) known.delete(old)
      }
      const window = known.get(key)
      if (!window) return
      if (event.kind === 'timers') window.timers = event.payload.timers
      if (event.kind === 'next') window.next = event.payload.checkpoint
      if (event.kind === 'final') window.final = true
      // Of two controllers that are at work for a moment the first one's end counts, as in the controller's own ledger.
      if (event.kind === 'state' && !isOver(window)) {
        window.state = event.payload.state
        window.why = event.payload.why
        if (window.state === 'skipped' || window.state === 'failed') window.end.abort(new Error(window.why))
      }
      onChange(window)
    },
  })
  return { latest: newest, all: () => [...known.values()], caughtUp, done }
}

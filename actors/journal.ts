import type { Broker } from '../nats/index.js'
import { fold } from '../nats/index.js'
import { assembling, assemblyFailed, dropped, partReady, sealed } from './aggregator/messages.js'
import { entered, hashFinal, nextCheckpoint, opened, summarised, timersMoved } from './controller/messages.js'
import { gaveUp, staged } from './generator/messages.js'
import { EVENTS } from './streams.js'
import { completed, uploaded, uploadFailed, uploadOpened } from './uploader/messages.js'

/** Every message of the journal by the name the fold gives it. */
const JOURNAL = {
  opened,
  next: nextCheckpoint,
  timers: timersMoved,
  final: hashFinal,
  state: entered,
  summarised,
  staged,
  gaveup: gaveUp,
  dropped,
  assembling,
  part: partReady,
  sealed,
  assemblyfailed: assemblyFailed,
  uploadopened: uploadOpened,
  completed,
  uploaded,
  uploadfailed: uploadFailed,
} as const

type Kind = keyof typeof JOURNAL

/** One event of a window, decoded. `index` is -1 where the subject has none. */
export type JournalEvent = {
  [K in Kind]: {
    kind: K
    window: number
    epoch: number
    index: number
    seq: number
    /** When the server stored it, unix ms. */
    timeMs: number
    payload: ReturnType<(typeof JOURNAL)[K]['decode']>
  }
}[Kind]

/** Decodes an event of the journal; undefined when no message of this build has that subject. Throws when the payload is not what its message says. */
export function journalEvent(
  subject: string,
  bytes: Uint8Array,
  meta: { seq: number; timeMs: number },
): JournalEvent | undefined {
  // grail.window.<window>.<epoch>.<control|group|file>.<kind>[.<index>]
  const [, , window, epoch, , kind, index] = subject.split('.')
  if (kind === undefined || !(kind in JOURNAL)) return undefined
  const payload = JOURNAL[kind as Kind].decode(bytes)
  return {
    kind,
    window: Number(window),
    epoch: Number(epoch),
    index: index === undefined ? -1 : Number(index),
    seq: meta.seq,
    timeMs: meta.timeMs,
    payload,
  } as JournalEvent
}

/** Which part of the journal an actor folds. */
export type JournalFilter = 'all' | 'control' | { window: number; epoch: number }

function subjectOf(filter: JournalFilter): string {
  if (filter === 'all') return 'grail.window.>'
  if (filter === 'control') return 'grail.window.*.*.control.>'
  return `grail.window.${filter.window}.${filter.epoch}.>`
}

/**
 * Folds the journal from its beginning and goes on with it live, in order, through reconnects and restarts of the broker.
 * @param onBroken told about events that cannot be decoded: they are skipped, never guessed
 * @returns `caughtUp` resolves when what was there at the start has been delivered; `done` when the signal aborts
 */
export function followJournal(
  broker: Broker,
  filter: JournalFilter,
  options: {
    signal: AbortSignal
    onEvent(event: JournalEvent): void | Promise<void>
    onBroken(subject: string, error: unknown): void
  },
): { caughtUp: Promise<void>; done: Promise<void> } {
  return fold(broker, EVENTS, subjectOf(filter), {
    signal: options.signal,
    onEvent: async (subject, bytes, meta) => {
      let event: JournalEvent | undefined
      try {
        event = journalEvent(subject, bytes, meta)
      } catch (error) {
        options.onBroken(subject, error)
        return
      }
      if (event) await options.onEvent(event)
    },
  })
}

import type { Broker } from '../../nats/index.js'
import { multipartEtag } from '../../src/bucket/expected.js'
import type { Log } from '../actor.js'
import type { Part } from '../aggregator/messages.js'
import { type Attempt, foldAttempt, noAttempt } from '../attempt.js'
import { followJournal } from '../journal.js'
import type { Uploaded } from './messages.js'

/** What the journal says of one window's file and its object, also of what an earlier life of this actor did. */
export interface FileStory {
  /** The making of the file that counts. */
  readonly attempt: Attempt
  /** Its parts that are in the object store, by number. */
  readonly ready: ReadonlyMap<number, Part>
  /** Upload ids by the attempt they were opened for. */
  readonly uploads: Map<number, string>
  /** The object of this attempt was completed: its etag. */
  completedEtag: string | undefined
  /** How it ended, when that was said already. */
  ended: { uploaded: Uploaded } | { failed: string } | undefined
  caughtUp: Promise<void>
  done: Promise<void>
}

/** Follows the journal of one window and epoch. @param onChange called after every event */
export function followFile(
  broker: Broker,
  holes: { window: number; epoch: number },
  { signal, log, onChange }: { signal: AbortSignal; log: Log; onChange(): void },
): FileStory {
  const attempt = noAttempt()
  const ready = new Map<number, Part>()
  const uploads = new Map<number, string>()
  const { caughtUp, done } = followJournal(broker, holes, {
    signal,
    onBroken: (subject, error) => log.error({ subject, err: error }, 'an event of the journal cannot be read: skipped'),
    onEvent: event => {
      if (foldAttempt(attempt, event) && event.kind === 'assembling') ready.clear()
      else if (event.kind === 'part' && event.payload.attempt === attempt.number)
        ready.set(event.payload.number, event.payload)
      else if (event.kind === 'uploadopened') uploads.set(event.payload.attempt, event.payload.uploadId)
      else if (event.kind === 'completed' && event.payload.attempt === attempt.number)
        story.completedEtag = event.payload.etag
      else if (event.kind === 'uploaded') story.ended = { uploaded: event.payload }
      else if (event.kind === 'uploadfailed') story.ended = { failed: event.payload.reason }
      onChange()
    },
  })
  const story: FileStory = { attempt, ready, uploads, completedEtag: undefined, ended: undefined, caughtUp, done }
  return story
}

/** The etag the object of the parts that are ready has. */
export function expectedEtag({ ready }: FileStory): string {
  const md5s = [...ready.values()].sort((a, b) => a.number - b.number).map(({ md5 }) => md5)
  return multipartEtag(md5s)
}

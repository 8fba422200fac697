import { announce, type Store } from '../../nats/index.js'
import { type Bucket, BucketError, type PartFacts } from '../../src/bucket/bucket.js'
import { singleEtag } from '../../src/bucket/expected.js'
import { completeUpload, putObject, sendPart as sendPartTo, verifyObject, withRetry } from '../../src/bucket/upload.js'
import { objectKey } from '../../src/window/object.js'
import type { ActorParts } from '../actor.js'
import type { Part, Sealed } from '../aggregator/messages.js'
import { bell } from '../bell.js'
import { isOver, type OpenWindow } from '../windows.js'
import { expectedEtag, followFile } from './file-story.js'
import { takeAway, tidy } from './leave.js'
import { completed, type Uploaded, uploaded, uploadFailed, uploadOpened } from './messages.js'

export interface DeliveryParts extends ActorParts {
  bucket: Bucket
  /** Object store of the file's parts. */
  parts: Store
  /** May this bucket take files of the rehearsal engine? */
  takesRehearsals: boolean
  /** May files of the window's profile go to a real bucket? */
  mayUpload(profile: string): boolean
  /** No later epoch of the window is known. */
  isLatest(window: OpenWindow): boolean
}

/** The clock is looked at this often, ms, while nothing happens. */
const LOOK_MS = 250
/** S3 takes no part below 5 MiB but the last: a file that fits into one part is put in one call. */
const FIRST_PART = 1

/** The window gets no object: why. Thrown inside, announced once, after everything was taken away again. */
class Hopeless extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'Hopeless'
  }
}

/** What became of the window's object. */
export interface DeliveryResult {
  uploaded?: Uploaded
  failed?: string
  clean: boolean
  parts: number
  /** All of it was said by an earlier life of this actor, of a window that is over. */
  old: boolean
}

/**
 * Brings one window's file to the bucket: parts as they appear, the one Complete call when the file is sealed and the hash
 * final, then HEAD. Whatever happens there is one object, verified, or none and nothing dangling.
 * After a crash it goes on from the journal and the bucket's own list of parts.
 */
export async function deliver(window: OpenWindow, parts: DeliveryParts, outer: AbortSignal): Promise<DeliveryResult> {
  const { broker, log, clock, random, bucket } = parts
  const holes = { window: window.window, epoch: window.epoch }
  const key = objectKey(window.opened.hotkey, window.window)
  const over = new AbortController()
  const following = AbortSignal.any([outer, over.signal])
  // A window that turns worthless ends the work on it, but not the clean-up.
  const signal = AbortSignal.any([outer, window.worthless])
  const changed = bell()

  const story = followFile(broker, holes, { signal: following, log, onChange: () => changed.ring() })
  const { attempt, ready, uploads } = story
  await story.caughtUp
  const result: DeliveryResult = { clean: true, parts: 0, old: story.ended !== undefined && isOver(window) }
  const site = () => ({ parts, holes, key, story, latest: parts.isLatest(window), signal: outer })
  try {
    // Said before: nothing to do but to report, unless the window was given up since.
    if (story.ended && 'uploaded' in story.ended) window.worthless.throwIfAborted()
    if (story.ended) Object.assign(result, story.ended)
    else {
      const facts = await bring()
      if (facts) {
        await announce(broker, uploaded, holes, facts, { signal: outer })
        await acknowledged()
        result.uploaded = facts
      }
    }
    await tidy(site())
  } catch (error) {
    if (outer.aborted) throw error
    const reason = window.worthless.aborted
      ? `window given up: ${window.why || 'a later epoch took its place'}`
      : error instanceof Error
        ? error.message
        : String(error)
    if (!(error instanceof Hopeless) && !window.worthless.aborted) log.error({ ...holes, err: error }, 'upload failed')
    result.clean = await takeAway(site())
    result.failed = reason
    await announce(broker, uploadFailed, holes, { reason, clean: result.clean }, { signal: outer })
  } finally {
    over.abort()
    await story.done.catch(() => {})
  }
  return result

  function retrying(deadlineMs: number) {
    return { deadlineMs, now: clock.now, random, signal }
  }

  async function bring(): Promise<Uploaded | undefined> {
    const sent = new Map<number, PartFacts>()
    let sending = 0
    let hintedFinal = false
    for (;;) {
      signal.throwIfAborted()
      // There is no file: what earlier attempts sent is tidied up.
      if (attempt.sealed?.rows === 0) return undefined
      if (attempt.number !== sending) {
        sent.clear()
        sending = attempt.number
        await abortOthers()
        const known = uploads.get(sending)
        if (known !== undefined) await resume(known, sent)
      }
      const now = clock.now()
      if (now >= window.timers.abortAtMs && story.completedEtag === undefined) throw new Hopeless(whyLate())
      const next = [...ready.values()]
        .filter(part => !sent.has(part.number) && !(part.number === FIRST_PART && part.last))
        .sort((a, b) => a.number - b.number)[0]
      if (next && story.completedEtag === undefined) {
        if (ready.get(FIRST_PART)) await sendPart(next, sent)
        continue
      }
      const file = attempt.sealed
      if (file && ready.size === file.parts) {
        if (file.rehearsal && !parts.takesRehearsals)
          throw new Hopeless(
            `a rehearsal's file is refused by ${bucket.place}: set bucket.rehearsal only for a bucket of your own`,
          )
        if (!file.rehearsal && !parts.mayUpload(window.opened.profile))
          throw new Hopeless(`files of profile ${window.opened.profile} are not uploaded`)
        if (window.final) {
          const facts = await finish(file, sent)
          // Given up meanwhile: its summary says that there is no object.
          signal.throwIfAborted()
          return facts
        }
        if (!hintedFinal) {
          hintedFinal = true
          log.info(holes, 'file complete, waiting for block W to be final')
        }
      }
      await changed.wait(LOOK_MS, signal)
    }
  }

  /** The controller may have given the window up before it heard of the object: then nothing of it may stay. */
  async function acknowledged(): Promise<void> {
    while (!isOver(window) && clock.now() < window.timers.verifyByMs && !outer.aborted)
      await changed.wait(LOOK_MS, outer)
    window.worthless.throwIfAborted()
  }

  function whyLate(): string {
    if (!attempt.sealed) return 'nothing sealed in time'
    return window.final ? 'not complete in time' : 'the hash of block W was not final in time'
  }

  async function uploadIdOf(): Promise<string> {
    const { number } = attempt
    const known = uploads.get(number)
    if (known !== undefined) return known
    const { uploadId } = await withRetry(s => bucket.openUpload(key, s), retrying(window.timers.abortAtMs))
    uploads.set(number, uploadId)
    await announce(broker, uploadOpened, holes, { attempt: number, key, uploadId }, { signal })
    return uploadId
  }

  async function sendPart(part: Part, sent: Map<number, PartFacts>): Promise<void> {
    const uploadId = await uploadIdOf()
    const bytes = await parts.parts.get(part.object, { signal })
    const facts = await sendPartTo(bucket, key, uploadId, part.number, bytes, retrying(window.timers.abortAtMs))
    sent.set(part.number, facts)
    result.parts = sent.size
    log.debug({ ...holes, part: part.number, bytes: part.bytes }, 'part uploaded')
  }

  /** After a crash: what the bucket already has of this attempt is not sent again. */
  async function resume(uploadId: string, sent: Map<number, PartFacts>): Promise<void> {
    try {
      const there = await withRetry(s => bucket.listParts(key, uploadId, s), retrying(window.timers.abortAtMs))
      for (const facts of there) if (ready.get(facts.number)?.md5 === facts.etag) sent.set(facts.number, facts)
    } catch (error) {
      if (!(error instanceof BucketError) || error.code !== 'no-such-upload') throw error
      // Completed before the crash: then its parts are in the object. Or aborted: then a new upload is opened.
      if (story.completedEtag !== undefined || (await isThere()))
        for (const { number, md5, bytes } of ready.values()) sent.set(number, { number, etag: md5, bytes })
      else uploads.delete(attempt.number)
    }
  }

  async function isThere(): Promise<boolean> {
    const { sealed } = attempt
    if (!sealed || ready.size !== sealed.parts) return false
    const facts = await withRetry(s => bucket.head(key, s), retrying(window.timers.abortAtMs))
    return facts?.etag === expectedEtag(story) && facts.bytes === sealed.bytes
  }

  async function finish(file: Sealed, sent: Map<number, PartFacts>): Promise<Uploaded> {
    const beganMs = clock.now()
    const etag = expectedEtag(story)
    if (story.completedEtag === undefined && !(await isThere())) {
      const until = retrying(window.timers.abortAtMs)
      if (file.parts === 1) {
        const only = ready.get(FIRST_PART) as Part
        const bytes = await parts.parts.get(only.object, { signal })
        if (singleEtag(bytes) !== only.md5) throw new Hopeless('the only part is not what was sealed')
        await putObject(bucket, key, bytes, until)
      } else
        await completeUpload(
          bucket,
          key,
          await uploadIdOf(),
          [...sent.values()].sort((a, b) => a.number - b.number),
          { etag, bytes: file.bytes },
          until,
        )
    }
    await announce(broker, completed, holes, { attempt: file.attempt, key, etag }, { signal: outer })
    const completedMs = clock.now()
    const verify = { deadlineMs: window.timers.verifyByMs, now: clock.now, random, signal: outer }
    const facts = await withRetry(s => bucket.head(key, s), verify)
    const verdict = verifyObject(facts, { bytes: file.bytes, etag, deadlineMs: window.timers.deadlineMs })
    if (verdict !== 'ok') throw new Hopeless(`the object is not as it must be: ${verdict.join('; ')}`)
    const lastModifiedMs = facts?.lastModifiedMs ?? 0
    const nowMs = clock.now()
    return {
      attempt: file.attempt,
      key,
      bytes: file.bytes,
      etag,
      sha256: file.sha256,
      lastModifiedMs,
      secondsLeft: (window.timers.deadlineMs - lastModifiedMs) / 1000,
      seconds: {
        tail: (nowMs - beganMs) / 1000,
        complete: (completedMs - beganMs) / 1000,
        verify: (nowMs - completedMs) / 1000,
      },
    }
  }

  /** Earlier attempts' uploads hold parts of a file that will never be complete. */
  async function abortOthers(): Promise<void> {
    for (const [other, uploadId] of uploads)
      if (other !== attempt.number) {
        await withRetry(s => bucket.abort(key, uploadId, s), retrying(window.timers.abortAtMs))
        uploads.delete(other)
      }
  }
}

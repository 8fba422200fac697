import { announce, isBrokerError } from '../../nats/index.js'
import { BucketError, type PartFacts } from '../../src/bucket/bucket.js'
import { completeUpload, sendPart, withRetry } from '../../src/bucket/upload.js'
import type { Part, Sealed } from '../aggregator/messages.js'
import type { OpenWindow } from '../windows.js'
import { expectedEtag, type FileStory } from './file-story.js'
import { Hopeless } from './hopeless.js'
import { uploadOpened } from './messages.js'
import type { DeliveryParts } from './options.js'

/**
 * A window's file on its way into the bucket. A file of one part is a multipart upload too: an upload that was aborted
 * cannot be completed any more, but a PUT that the store has and has not carried out cannot be called back.
 */
export interface FileUpload {
  /** How many parts of the attempt that counts the bucket has. */
  readonly sent: number
  /** Sends what is ready and not there. Resolves when nothing more is. Throws BrokerError, BucketError or Hopeless; then it may be called again. */
  send(): Promise<void>
  /** Is the object in the bucket as it was sealed? Asked until `deadlineMs`, unix ms. */
  isThere(deadlineMs: number): Promise<boolean>
  /** Makes the object visible; all parts must have been sent. */
  complete(file: Sealed): Promise<void>
}

export function fileUpload(
  window: OpenWindow,
  { key, story, parts, signal }: { key: string; story: FileStory; parts: DeliveryParts; signal: AbortSignal },
): FileUpload {
  const { broker, log, clock, random, bucket } = parts
  const holes = { window: window.window, epoch: window.epoch }
  const { attempt, ready, uploads } = story
  const sent = new Map<number, PartFacts>()
  let sending = 0
  /** Attempts whose upload is open and could not be told to the journal yet. */
  const unsaid = new Set<number>()

  const until = (deadlineMs: number) => ({ deadlineMs, now: clock.now, random, signal })
  const inTime = () => until(window.timers.abortAtMs)

  return {
    get sent() {
      return sent.size
    },

    async send() {
      if (attempt.number !== sending) await turnTo(attempt.number)
      for (let part = next(); part; part = next()) {
        if (attempt.number !== sending) return
        await sendOne(part)
      }
    },

    isThere,

    async complete(file) {
      const inOrder = [...sent.values()].sort((a, b) => a.number - b.number)
      const expected = { etag: expectedEtag(story), bytes: file.bytes }
      await completeUpload(bucket, key, await uploadIdOf(file.attempt), inOrder, expected, inTime())
    },
  }

  function next(): Part | undefined {
    return [...ready.values()].filter(part => !sent.has(part.number)).sort((a, b) => a.number - b.number)[0]
  }

  async function turnTo(number: number): Promise<void> {
    sent.clear()
    await abortOthers(number)
    const known = uploads.get(number)
    if (known !== undefined) await resume(number, known)
    sending = number
  }

  async function sendOne(part: Part): Promise<void> {
    const uploadId = await uploadIdOf(part.attempt)
    const bytes = await parts.parts.get(part.object, { signal }).catch(error => {
      if (isBrokerError(error, 'not-found') || isBrokerError(error, 'corrupt')) throw new Hopeless(error.message)
      throw error
    })
    const facts = await sendPart(bucket, key, uploadId, part.number, bytes, inTime())
    // Another attempt may have begun meanwhile: this part is none of its.
    if (part.attempt === attempt.number) sent.set(part.number, facts)
    log.debug({ ...holes, part: part.number, bytes: part.bytes }, 'part uploaded')
  }

  async function uploadIdOf(number: number): Promise<string> {
    let uploadId = uploads.get(number)
    if (uploadId === undefined) {
      uploadId = (await withRetry(s => bucket.openUpload(key, s), inTime())).uploadId
      uploads.set(number, uploadId)
      unsaid.add(number)
    }
    if (unsaid.has(number)) {
      await announce(broker, uploadOpened, holes, { attempt: number, key, uploadId }, { signal })
      unsaid.delete(number)
    }
    return uploadId
  }

  /** After a crash: what the bucket already has of this attempt is not sent again. */
  async function resume(number: number, uploadId: string): Promise<void> {
    try {
      const there = await withRetry(s => bucket.listParts(key, uploadId, s), inTime())
      for (const facts of there) if (ready.get(facts.number)?.md5 === facts.etag) sent.set(facts.number, facts)
    } catch (error) {
      if (!(error instanceof BucketError) || error.code !== 'no-such-upload') throw error
      // Completed before the crash: then its parts are in the object. Or aborted: then a new upload is opened.
      if (await isThere(window.timers.abortAtMs))
        for (const part of ready.values()) sent.set(part.number, { ...part, etag: part.md5 })
      else uploads.delete(number)
    }
  }

  async function isThere(deadlineMs: number): Promise<boolean> {
    const { sealed } = attempt
    if (!sealed || ready.size !== sealed.parts) return false
    const facts = await withRetry(s => bucket.head(key, s), until(deadlineMs))
    return facts?.etag === expectedEtag(story) && facts.bytes === sealed.bytes
  }

  /** Earlier attempts' uploads hold parts of a file that will never be complete. */
  async function abortOthers(number: number): Promise<void> {
    for (const [other, uploadId] of uploads)
      if (other !== number) {
        await withRetry(s => bucket.abort(key, uploadId, s), inTime())
        uploads.delete(other)
      }
  }
}

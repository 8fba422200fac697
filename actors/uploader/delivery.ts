import { announce, isBrokerError } from '../../nats/index.js'
import { verifyObject, withRetry } from '../../src/bucket/upload.js'
import { objectKey } from '../../src/window/object.js'
import type { Sealed } from '../aggregator/messages.js'
import { bell } from '../bell.js'
import { isOver, type OpenWindow } from '../windows.js'
import { expectedEtag, followFile } from './file-story.js'
import { fileUpload } from './file-upload.js'
import { Hopeless } from './hopeless.js'
import { takeAway, tidy } from './leave.js'
import { completed, type Uploaded, uploaded, uploadFailed } from './messages.js'
import type { DeliveryParts } from './options.js'

/** The clock is looked at this often, ms, while nothing happens. */
const LOOK_MS = 250
/**
 * An uploader that comes back when the window's time is over looks this long, ms, for the object that an earlier life of it
 * may have completed: shorter than the controller then waits for its word.
 */
const COMES_BACK_MS = 10_000
/** The controller's word on an announced object is waited for this long at least, ms: it may be coming back, too. */
const ACKNOWLEDGED_MS = 15_000
/** What stands in the bucket is announced until so much later, ms: a journal that has no leader for longer is lost. */
const SAY_MS = 120_000

/** What became of the window's object. */
export interface DeliveryResult {
  uploaded?: Uploaded
  failed?: string
  clean: boolean
  parts: number
  /** All of it was said by an earlier life of this actor, of a window that is over. */
  old: boolean
}

/** A file that the bucket has made visible, and when that was begun and answered, unix ms. */
interface Visible {
  file: Sealed
  beganMs: number
  completedMs: number
}

/**
 * Brings one window's file to the bucket: parts as they appear, the one Complete call when the file is sealed and the hash
 * final, then HEAD. Whatever happens there is one object, verified, or none and nothing dangling.
 * After a crash it goes on from the journal and the bucket's own list of parts. A broker that is away ends nothing by itself:
 * before Complete there is time until the upload is given up, and what is complete stays.
 * @throws BrokerError when what stands in the bucket, or that nothing does, could not be announced
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
  const { attempt, ready } = story
  await story.caughtUp
  const cameBackMs = clock.now()
  const upload = fileUpload(window, { key, story, parts, signal })
  const result: DeliveryResult = { clean: true, parts: 0, old: story.ended !== undefined && isOver(window) }
  const site = { parts, holes, key, story, isLatest: () => parts.isLatest(window), signal: outer }
  let visible: Visible | undefined
  try {
    if (story.ended) {
      // Said before: nothing to do but to report, unless the window was given up since.
      if ('uploaded' in story.ended) await acknowledged()
      Object.assign(result, story.ended)
    } else {
      visible = await bring()
      if (visible) {
        // The broker may be away: the object is looked at meanwhile.
        const said = { attempt: visible.file.attempt, key, etag: expectedEtag(story) }
        const [facts] = await Promise.all([
          verify(visible),
          say(patience => announce(broker, completed, holes, said, patience)),
        ])
        await say(patience => announce(broker, uploaded, holes, facts, patience))
        await acknowledged()
        result.uploaded = facts
      }
    }
    await tidy(site)
  } catch (error) {
    // That it cannot be announced is no reason to take an object away.
    if (outer.aborted || (visible && isBrokerError(error) && !window.worthless.aborted)) throw error
    const reason = window.worthless.aborted
      ? `window given up: ${window.why || 'a later epoch took its place'}`
      : error instanceof Error
        ? error.message
        : String(error)
    if (!(error instanceof Hopeless) && !window.worthless.aborted) log.error({ ...holes, err: error }, 'upload failed')
    result.clean = await takeAway(site)
    result.failed = reason
    await announce(
      broker,
      uploadFailed,
      holes,
      { reason, clean: result.clean },
      { signal: outer, giveUpAfterMs: SAY_MS },
    )
  } finally {
    over.abort()
    await story.done.catch(() => {})
  }
  return result

  /** Waits for the file and makes it visible; undefined when there is none. */
  async function bring(): Promise<Visible | undefined> {
    let hintedFinal = false
    for (;;) {
      signal.throwIfAborted()
      // There is no file: what earlier attempts sent is tidied up.
      if (attempt.sealed?.rows === 0) return undefined
      try {
        const visible = await advance()
        if (visible) return visible
      } catch (error) {
        // Bounded: past the time to complete it is hopeless.
        if (!isBrokerError(error) || error.next !== 'later') throw error
        log.warn({ ...holes, why: error.message }, 'the upload waits for the broker')
      }
      if (!hintedFinal && wholeFile() && !window.final) {
        hintedFinal = true
        log.info(holes, 'file complete, waiting for block W to be final')
      }
      await changed.wait(LOOK_MS, signal)
    }
  }

  /** Does what can be done now. */
  async function advance(): Promise<Visible | undefined> {
    const { abortAtMs } = window.timers
    if (clock.now() >= abortAtMs && story.completedEtag === undefined) {
      const file = wholeFile()
      // An earlier life of this actor may have completed it and not have been able to say so.
      if (file && window.final && (await upload.isThere(lookUntilMs()))) return visibleSince(file, clock.now())
      throw new Hopeless(whyLate())
    }
    if (story.completedEtag === undefined) {
      await upload.send()
      result.parts = upload.sent
    }
    const file = wholeFile()
    if (!file) return undefined
    if (file.rehearsal && !parts.takesRehearsals)
      throw new Hopeless(
        `a rehearsal's file is refused by ${bucket.place}: set bucket.rehearsal only for a bucket of your own`,
      )
    if (!file.rehearsal && !parts.mayUpload(window.opened.profile))
      throw new Hopeless(`files of profile ${window.opened.profile} are not uploaded`)
    const beganMs = clock.now()
    if (story.completedEtag !== undefined) return visibleSince(file, beganMs)
    if (!window.final || upload.sent < file.parts) return undefined
    if (!(await upload.isThere(abortAtMs))) await upload.complete(file)
    return visibleSince(file, beganMs)
  }

  function visibleSince(file: Sealed, beganMs: number): Visible {
    return { file, beganMs, completedMs: clock.now() }
  }

  /** The seal, once all parts of it are known. */
  function wholeFile(): Sealed | undefined {
    return attempt.sealed && ready.size === attempt.sealed.parts ? attempt.sealed : undefined
  }

  function lookUntilMs(): number {
    return Math.max(window.timers.verifyByMs, cameBackMs + COMES_BACK_MS)
  }

  function whyLate(): string {
    if (!attempt.sealed) return 'nothing sealed in time'
    return window.final ? 'not complete in time' : 'the hash of block W was not final in time'
  }

  async function verify({ file, beganMs, completedMs }: Visible): Promise<Uploaded> {
    const etag = expectedEtag(story)
    const bounds = { deadlineMs: lookUntilMs(), now: clock.now, random, signal }
    const facts = await withRetry(s => bucket.head(key, s), bounds)
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

  /** Announces what stands in the bucket; a window that is given up meanwhile needs no announcement. */
  async function say(announceWith: (patience: { signal: AbortSignal; giveUpAfterMs: number }) => Promise<unknown>) {
    await announceWith({ signal, giveUpAfterMs: SAY_MS })
    signal.throwIfAborted()
  }

  /** The controller may have given the window up before it heard of the object: then nothing of it may stay. */
  async function acknowledged(): Promise<void> {
    const untilMs = Math.max(window.timers.verifyByMs, clock.now() + ACKNOWLEDGED_MS)
    while (!isOver(window) && clock.now() < untilMs && !outer.aborted) await changed.wait(LOOK_MS, outer)
    window.worthless.throwIfAborted()
  }
}

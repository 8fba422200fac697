import type { Bucket } from '../../src/bucket/bucket.js'
import { cleanUploads, withRetry } from '../../src/bucket/upload.js'
import { shadowKey } from '../../src/window/object.js'
import type { ActorParts } from '../actor.js'
import { expectedEtag, type FileStory } from './file-story.js'

/** Abort and removal are tried for this long, ms, also past D: a dangling upload costs storage, not reward. */
const CLEAN_MS = 20_000

/** What is to be left in order. */
export interface Site {
  parts: Pick<ActorParts, 'clock' | 'random' | 'log'> & { bucket: Bucket }
  holes: { window: number; epoch: number }
  key: string
  story: FileStory
  /** No later epoch of the window is known by now: what lies under its key is of this one. */
  isLatest(): boolean
  signal: AbortSignal
}

function patienceOf({ parts: { clock, random }, signal }: Site) {
  return { deadlineMs: clock.now() + CLEAN_MS, now: clock.now, random, signal }
}

/**
 * After the object was verified, or where there is none to be made: an upload of an earlier attempt, or one whose opening a
 * crash kept from the journal, is nobody's. Never rejects but by the signal's doing.
 */
export async function tidy(site: Site): Promise<void> {
  const { parts, holes, key, isLatest, signal } = site
  const { bucket, log } = parts
  if (!isLatest()) return
  try {
    const aborted = await cleanUploads(bucket, key, () => !isLatest(), patienceOf(site))
    if (aborted.length > 0) log.warn({ ...holes, uploads: aborted.length }, 'aborted uploads nobody would complete')
    await removeShadow(site)
  } catch (error) {
    if (!signal.aborted) log.error({ ...holes, err: error }, 'uploads may be left open in the bucket')
  }
}

/** Takes everything of this window away: uploads known or not, and an object that must not be there. Tells whether it could. */
export async function takeAway(site: Site): Promise<boolean> {
  const { parts, holes, key, story, isLatest } = site
  const { bucket, log } = parts
  const patience = patienceOf(site)
  try {
    for (const uploadId of story.uploads.values()) await withRetry(s => bucket.abort(key, uploadId, s), patience)
    // One that was opened right before a crash is in nobody's journal; a later epoch's must stay.
    await cleanUploads(bucket, key, open => open.key !== key || !isLatest(), patience)
    // A later epoch's object stands under the same key: only what this epoch made is removed.
    const { sealed } = story.attempt
    if (sealed && story.ready.size === sealed.parts && sealed.rows > 0) {
      const facts = await withRetry(s => bucket.head(key, s), patience)
      if (facts && facts.etag === expectedEtag(story)) await withRetry(s => bucket.remove(key, s), patience)
    }
    return true
  } catch (error) {
    log.error({ ...holes, err: error }, 'could not clean up: an upload may be left open in the bucket')
    return false
  }
}

/** Something else wrote to this bucket: validators would read that instead of the window's file. */
async function removeShadow(site: Site): Promise<void> {
  const { bucket, log } = site.parts
  const shadow = shadowKey(site.key)
  const patience = patienceOf(site)
  const facts = await withRetry(s => bucket.head(shadow, s), patience)
  if (!facts) return
  await withRetry(s => bucket.remove(shadow, s), patience)
  log.error(
    { ...site.holes, key: shadow, bytes: facts.bytes },
    'removed an object that validators would have read instead of the file: does another miner use this bucket?',
  )
}

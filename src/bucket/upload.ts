import { type Bucket, BucketError, type ObjectFacts, type OpenUpload, type PartFacts } from './bucket.js'
import { isMd5, singleEtag } from './expected.js'
import { type RetryBounds, withRetry } from './retry.js'

export { type RetryBounds, withRetry } from './retry.js'

/** What the object of a window must be. */
export interface ExpectedObject {
  bytes: number
  etag: string
}

/** A part as it was sealed, before it is anywhere. */
export interface PlannedPart {
  number: number
  bytes: number
  md5: string
}

/** Numbers of the parts that still have to be sent, ascending: a part the store has under another MD5 is sent again. */
export function missingParts(planned: readonly PlannedPart[], stored: readonly PartFacts[]): number[] {
  const there = new Map(stored.map(part => [part.number, part]))
  return planned
    .filter(({ number, md5, bytes }) => there.get(number)?.etag !== md5 || there.get(number)?.bytes !== bytes)
    .map(part => part.number)
    .sort((a, b) => a - b)
}

/**
 * Compares what HEAD told with what was uploaded, as a validator will: late is later than the deadline by the store's
 * LastModified, which has a resolution of 1 s (one-covenant/grail grail/infrastructure/comms.py:988-993, 54d6342).
 * @param expected deadlineMs: D, unix ms
 */
export function verifyObject(
  facts: ObjectFacts | undefined,
  expected: ExpectedObject & { deadlineMs: number },
): 'ok' | string[] {
  if (!facts) return ['there is no object']
  const reasons: string[] = []
  if (facts.bytes !== expected.bytes) reasons.push(`it has ${facts.bytes} bytes instead of ${expected.bytes}`)
  if (facts.etag !== expected.etag) reasons.push(`its etag is ${facts.etag} instead of ${expected.etag}`)
  const lateMs = facts.lastModifiedMs - expected.deadlineMs
  if (lateMs > 0) reasons.push(`it is ${(lateMs / 1_000).toFixed(3)} s late`)
  return reasons.length === 0 ? 'ok' : reasons
}

/** Sends one part; sent twice it is the same part. @throws BucketError 'no-such-upload', 'deadline', … */
export async function sendPart(
  bucket: Bucket,
  key: string,
  uploadId: string,
  number: number,
  body: Uint8Array,
  bounds: RetryBounds,
): Promise<PartFacts> {
  const md5 = singleEtag(body)
  return withRetry(async signal => {
    const facts = await bucket.putPart(key, uploadId, number, body, signal)
    if (isMd5(facts.etag) && facts.etag !== md5)
      throw new BucketError('bad-digest', `part ${number} of ${key} arrived as ${facts.etag}, sent was ${md5}`, 'later')
    return facts
  }, bounds)
}

/**
 * Makes the object visible. An answer that was lost, and an upload that is gone (completed by an earlier life of this
 * process), are decided by HEAD: the object that was meant is there, or it is not. Some stores answer Complete of an
 * unknown upload with the object that lies under the key, so a good answer counts only with the right etag.
 * @throws BucketError 'no-such-upload' when the upload is gone and the object is not what was meant; 'deadline' with next
 *   'unknown' when nobody can tell
 */
export async function completeUpload(
  bucket: Bucket,
  key: string,
  uploadId: string,
  parts: PartFacts[],
  expected: ExpectedObject,
  bounds: RetryBounds,
): Promise<void> {
  const isThere = async (signal: AbortSignal) => isObject(await bucket.head(key, signal), expected)
  let lostAnswer = false
  await withRetry(
    async signal => {
      try {
        const { etag } = await bucket.complete(key, uploadId, parts, signal)
        if (etag === expected.etag || (await isThere(signal))) return true
        throw new BucketError('precondition', `${key} was completed as ${etag}, not as ${expected.etag}`, 'never')
      } catch (error) {
        if (error instanceof BucketError && error.next === 'unknown') lostAnswer = true
        if (!(error instanceof BucketError) || error.code !== 'no-such-upload') throw error
        if (await isThere(signal)) return true
        // The Complete whose answer was lost may still be at work in the store: the upload is gone, the object not yet there.
        if (lostAnswer)
          throw new BucketError('server', `${key} is not visible yet: ${error.message}`, 'later', { cause: error })
        throw error
      }
    },
    bounds,
    async signal => ((await isThere(signal)) ? true : undefined),
  )
}

/**
 * Leaves nothing of a window that failed: the upload is aborted, and the object is removed when it is the one that was
 * being made (a Complete nobody heard of has won). An object of another attempt is left alone.
 */
export async function withdrawUpload(
  bucket: Bucket,
  key: string,
  uploadId: string,
  expected: ExpectedObject,
  bounds: RetryBounds,
): Promise<void> {
  await withRetry(signal => bucket.abort(key, uploadId, signal), bounds)
  await withRetry(async signal => {
    if (isObject(await bucket.head(key, signal), expected)) await bucket.remove(key, signal)
  }, bounds)
}

/**
 * Aborts uploads nobody will complete: those of earlier attempts, and one whose opening was not heard of.
 * @param prefix a whole key, or a hotkey's prefix: everything under it is this fleet's own
 * @param keep whether an upload is still wanted; asked when the list is there, which may take as long as the bounds allow
 * @returns what was aborted
 */
export async function cleanUploads(
  bucket: Bucket,
  prefix: string,
  keep: (upload: OpenUpload) => boolean,
  bounds: RetryBounds,
): Promise<OpenUpload[]> {
  const open = await withRetry(signal => bucket.listUploads(prefix, signal), bounds)
  const dangling = open.filter(upload => !keep(upload))
  for (const { key, uploadId } of dangling) await withRetry(signal => bucket.abort(key, uploadId, signal), bounds)
  return dangling
}

function isObject(facts: ObjectFacts | undefined, expected: ExpectedObject): boolean {
  return facts?.bytes === expected.bytes && facts.etag === expected.etag
}

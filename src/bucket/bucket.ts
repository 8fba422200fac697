/** What HEAD tells about an object. */
export interface ObjectFacts {
  key: string
  bytes: number
  /** As the store reports it, without quotes: md5 hex for a single PUT, `md5-of-md5s-N` for a multipart upload. */
  etag: string
  /** Unix ms; 1 s resolution on S3. This is what the validator compares with the deadline. */
  lastModifiedMs: number
  metadata: Record<string, string>
}

/** One part of a multipart upload as the store knows it. Numbers start at 1. */
export interface PartFacts {
  number: number
  etag: string
  bytes: number
}

/** A multipart upload nobody has completed or aborted. */
export interface OpenUpload {
  key: string
  uploadId: string
  initiatedMs: number
}

/** What must happen next: 'later' (retry after retryAfterMs), 'never' (same request will always fail: wrong key, wrong secret, no such upload), 'unknown' (no answer: it may have been done, look before repeating). */
export type BucketNext = 'later' | 'never' | 'unknown'

export class BucketError extends Error {
  readonly next: BucketNext
  readonly retryAfterMs: number
  /** e.g. 'access-denied', 'no-such-bucket', 'no-such-upload', 'no-such-key', 'throttled', 'server', 'timeout', 'connection', 'precondition', 'disk-full', 'entity-too-small', 'invalid-part', 'invalid-key', 'invalid-range', 'bad-digest', 'deadline' */
  readonly code: string
  constructor(
    code: string,
    message: string,
    next: BucketNext,
    options: { retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'BucketError'
    this.code = code
    this.next = next
    this.retryAfterMs = options.retryAfterMs ?? 0
  }
}

/** An object store seen from a miner. Nothing of a multipart upload is visible before `complete`. Every call takes a signal, ends with that signal's reason when it fires, and never retries by itself: the caller owns the deadline. */
export interface Bucket {
  readonly kind: 's3' | 'dir'
  /** Where it is, for people: no secrets. */
  readonly place: string
  /** undefined when there is no such object. */
  head(key: string, signal: AbortSignal): Promise<ObjectFacts | undefined>
  /** The bytes [from, to) of an object, or all of it. Throws BucketError 'no-such-key'. */
  get(key: string, signal: AbortSignal, range?: { from: number; to: number }): Promise<Uint8Array>
  /** Keys under a prefix, all pages, ascending by the bytes of their UTF-8. Metadata is not listed: HEAD tells it. */
  list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectFacts>
  put(
    key: string,
    body: Uint8Array,
    signal: AbortSignal,
    options?: { metadata?: Record<string, string> },
  ): Promise<{ etag: string }>
  remove(key: string, signal: AbortSignal): Promise<void>
  openUpload(
    key: string,
    signal: AbortSignal,
    options?: { metadata?: Record<string, string> },
  ): Promise<{ uploadId: string }>
  putPart(key: string, uploadId: string, number: number, body: Uint8Array, signal: AbortSignal): Promise<PartFacts>
  listParts(key: string, uploadId: string, signal: AbortSignal): Promise<PartFacts[]>
  /** Makes the object visible. Done twice, the object stays as it is and the second call is 'no-such-upload' or, on some stores, answered as the first: HEAD tells whether the first one won. */
  complete(key: string, uploadId: string, parts: PartFacts[], signal: AbortSignal): Promise<{ etag: string }>
  /** Idempotent: aborting what is gone is fine. */
  abort(key: string, uploadId: string, signal: AbortSignal): Promise<void>
  listUploads(prefix: string, signal: AbortSignal): Promise<OpenUpload[]>
  close(): void
}

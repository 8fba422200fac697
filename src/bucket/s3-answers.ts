import { BucketError, type ObjectFacts } from './bucket.js'

/** What the SDK gives for a body on Node. */
type NodeBody = AsyncIterable<Uint8Array> & { destroy(error?: Error): void }

/** A body in memory. The SDK stops listening to the signal once the headers are there: a body that stalls is ended here. */
export async function readBody(from: unknown, length: number | undefined, signal: AbortSignal): Promise<Uint8Array> {
  const body = from as NodeBody | undefined
  const chunks: Uint8Array[] = []
  const stop = () => body?.destroy(new Error('aborted'))
  signal.addEventListener('abort', stop, { once: true })
  try {
    signal.throwIfAborted()
    for await (const chunk of body ?? []) chunks.push(chunk)
  } finally {
    signal.removeEventListener('abort', stop)
  }
  const bytes = Buffer.concat(chunks)
  if (length !== undefined && bytes.length !== length)
    throw new BucketError('connection', `${bytes.length} of ${length} bytes arrived`, 'later')
  return bytes
}

/** Facts of an object from the fields of HEAD or of a list. */
export function objectFacts(
  key: string,
  bytes: number | undefined,
  etag: string | undefined,
  modified: Date | undefined,
  metadata: Record<string, string> | undefined,
): ObjectFacts {
  return {
    key,
    bytes: bytes ?? 0,
    etag: bare(etag),
    lastModifiedMs: present(modified, 'LastModified').getTime(),
    metadata: metadata ?? {},
  }
}

/** An etag without its quotes. */
export function bare(etag: string | undefined): string {
  return present(etag, 'etag').replaceAll('"', '')
}

/** What every store answers. Where it does not, the request may still have been carried out. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new BucketError('bad-answer', `the store's answer has no ${what}`, 'unknown')
  return value
}

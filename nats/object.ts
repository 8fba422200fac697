import { createHash } from 'node:crypto'
import { BrokerError } from './errors.js'
import { checkBucketName, objectStream } from './names.js'
import { journal, type StreamChoices, type WantedStream } from './stream.js'

// How objects lie in a stream: NATS' own format (ADR-20), so that `nats object` and the client libraries read ours and we read
// theirs. Chunks lie under one subject per object version, and an entry under the object's name says which version counts.

/** An object's entry, in the format's own words. */
export interface ObjectInfo {
  name: string
  bucket: string
  /** Names the subject of this version's chunks. */
  nuid: string
  size: number
  chunks: number
  digest: string
  mtime: string
  deleted?: boolean
  description?: string
  options?: { max_chunk_size?: number; link?: object }
}

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

/** base64url with padding, as the format writes names and digests. */
function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}

export const chunkSubject = (bucket: string, nuid: string): string => `$O.${bucket}.C.${nuid}`
export const entrySubject = (bucket: string, name: string): string => `$O.${bucket}.M.${base64url(utf8.encode(name))}`
export const everyEntry = (bucket: string): string => `$O.${bucket}.M.>`

/** The object's name in the subject of its entry. */
export function nameIn(bucket: string, subject: string): string {
  return Buffer.from(subject.slice(`$O.${bucket}.M.`.length), 'base64url').toString('utf8')
}

export const encodeInfo = (info: ObjectInfo): Uint8Array => utf8.encode(JSON.stringify(info))

export function decodeInfo(bytes: Uint8Array): ObjectInfo {
  try {
    return JSON.parse(fromUtf8.decode(bytes)) as ObjectInfo
  } catch (e) {
    throw new BrokerError('corrupt', "an object's entry is not JSON", { cause: e })
  }
}

export function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

const DIGEST_TYPE = 'SHA-256='
export const digestText = (digest: Buffer): string => DIGEST_TYPE + base64url(digest)

/** Whether an entry's digest is that of these 32 bytes; padding and alphabet of its base64 do not matter. */
export function isDigest(text: string, digest: Buffer): boolean {
  return text.startsWith(DIGEST_TYPE) && Buffer.from(text.slice(DIGEST_TYPE.length), 'base64url').equals(digest)
}

/** An object store's stream as NATS' tools make it. */
export function objectStore(bucket: string, choices: StreamChoices = {}): WantedStream {
  checkBucketName(bucket)
  const base = journal(objectStream(bucket), [`$O.${bucket}.C.>`, everyEntry(bucket)], choices)
  return { ...base, settings: { ...base.settings, discard: 'new', allow_rollup_hdrs: true, deny_delete: false } }
}

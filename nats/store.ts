import { createHash } from 'node:crypto'
import { nuid } from 'nats'
import type { Broker } from './connect.js'
import { BrokerError, isBrokerError } from './errors.js'
import type { Patience } from './patience.js'
import { store as storeMessage } from './publish.js'
import { lastOf, lastOfByLeader, nextOf, subjects } from './read.js'
import {
  checkBucketName,
  ensure,
  journal,
  purgeSubject,
  type StreamChoices,
  streamInfo,
  type WantedStream,
} from './stream.js'

// The wire format is NATS' own (ADR-20), so that `nats object` and the client libraries read and write the same objects. Only the
// way is another: native SHA-256 and direct reads, where the library hashes in JavaScript (20 times slower) and leaves a
// consumer behind at every read.

/** What the broker keeps about an object, in its own words (ADR-20). */
interface ObjectInfo {
  name: string
  bucket: string
  nuid: string
  size: number
  chunks: number
  digest: string
  mtime: string
  deleted?: boolean
  description?: string
  options?: { max_chunk_size?: number; link?: object }
}

export interface StoredObject {
  name: string
  bytes: number
  /** SHA-256 of the content, hex. */
  sha256: string
  /** It had been there before, the same. */
  already: boolean
}

/** Bytes by name. A name is given to one content: twice is harmless, different is refused. */
export interface Store {
  readonly bucket: string
  /** Throws BrokerError 'different' when the name has other content, 'stream-full' when there is no room. */
  put(name: string, bytes: Uint8Array, patience: Patience): Promise<StoredObject>
  /** Digest-checked. Throws BrokerError 'not-found' or 'corrupt'. */
  get(name: string, patience: Patience): Promise<Uint8Array>
  /** Removes it; absent is fine. */
  forget(name: string, patience: Patience): Promise<void>
  /** Names that begin with `prefix`, ascending. Objects deleted by other tools, which leave a marker, are still among them. */
  names(patience: Patience, prefix?: string): Promise<string[]>
  /** Bytes of the whole bucket as the server counts them, markers and headers included. */
  bytes(patience: Patience): Promise<number>
}

/** Largest piece of an object in one message: small ones let claims and events through between them. */
const MAX_CHUNK_BYTES = 1024 * 1024
/** Left free of max_payload for headers. */
const HEADER_BYTES = 4 * 1024

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

export const objectStream = (bucket: string): string => `OBJ_${bucket}`

/** An object store bucket as NATS' tools know it. */
export function objectStore(bucket: string, choices: StreamChoices = {}): WantedStream {
  checkBucketName(bucket)
  const base = journal(objectStream(bucket), [`$O.${bucket}.C.>`, `$O.${bucket}.M.>`], choices)
  return { ...base, settings: { ...base.settings, discard: 'new', allow_rollup_hdrs: true, deny_delete: false } }
}

/** Makes the bucket if it is absent, and opens it. */
export async function ensureStore(broker: Broker, bucket: string, options: StreamChoices & Patience): Promise<Store> {
  await ensure(broker, [objectStore(bucket, options)], options)
  return openStore(broker, bucket)
}

/** base64url with padding, as ADR-20 writes names and digests. */
function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** Whether an object's digest text ('SHA-256=' and base64url) is that of these 32 bytes. */
function isDigest(text: string, digest: Buffer): boolean {
  return text.startsWith('SHA-256=') && Buffer.from(text.slice('SHA-256='.length), 'base64url').equals(digest)
}

/** Opens a bucket that exists; nothing is asked of the broker yet. */
export function openStore(broker: Broker, bucket: string): Store {
  checkBucketName(bucket)
  const stream = objectStream(bucket)
  const metaSubject = (name: string) => `$O.${bucket}.M.${base64url(utf8.encode(name))}`
  const chunkSubject = (id: string) => `$O.${bucket}.C.${id}`

  /** What is known of a name, and the sequence that says so; the info is absent for a name never used, or deleted. */
  async function look(
    name: string,
    patience: Patience,
    read = lastOf,
  ): Promise<{ info?: ObjectInfo; seq: number; was?: ObjectInfo }> {
    const kept = await read(broker, stream, metaSubject(name), patience)
    if (kept === undefined) return { seq: 0 }
    const info = JSON.parse(fromUtf8.decode(kept.bytes)) as ObjectInfo
    return info.deleted ? { seq: kept.seq, was: info } : { seq: kept.seq, info }
  }

  function already(name: string, info: ObjectInfo, bytes: Uint8Array, digest: Buffer): StoredObject {
    if (info.size !== bytes.length || !isDigest(info.digest, digest))
      throw new BrokerError('different', `put ${name} in ${bucket}: other content is stored under this name`)
    return { name, bytes: bytes.length, sha256: digest.toString('hex'), already: true }
  }

  async function putChunks(name: string, id: string, bytes: Uint8Array, patience: Patience): Promise<number> {
    const size = Math.min(MAX_CHUNK_BYTES, broker.info.maxPayload - HEADER_BYTES)
    let chunks = 0
    // One after the other: a chunk that had to be repeated must not end up behind its successor.
    for (let from = 0; from < bytes.length; from += size) {
      await storeMessage(broker, chunkSubject(id), bytes.subarray(from, from + size), {
        ...patience,
        id: `${id}.${chunks}`,
        expectStream: stream,
        doing: `put ${name} in ${bucket}`,
      })
      chunks++
    }
    return chunks
  }

  async function put(name: string, bytes: Uint8Array, patience: Patience): Promise<StoredObject> {
    if (name === '') throw new BrokerError('invalid', `put in ${bucket}: an object needs a name`)
    const digest = sha256(bytes)
    const before = await look(name, patience)
    if (before.info !== undefined) return already(name, before.info, bytes, digest)
    const id = nuid.next()
    try {
      const chunks = await putChunks(name, id, bytes, patience)
      const info: ObjectInfo = {
        name,
        description: '',
        bucket,
        nuid: id,
        size: bytes.length,
        chunks,
        digest: `SHA-256=${base64url(digest)}`,
        mtime: new Date().toISOString(),
        deleted: false,
        options: { max_chunk_size: MAX_CHUNK_BYTES },
      }
      await storeMessage(broker, metaSubject(name), utf8.encode(JSON.stringify(info)), {
        ...patience,
        id: `${id}.meta`,
        expectStream: stream,
        doing: `put ${name} in ${bucket}`,
        // The name is taken only if nobody else took it meanwhile; of its older entries nothing is kept.
        headers: { 'Nats-Rollup': 'sub', 'Nats-Expected-Last-Subject-Sequence': String(before.seq) },
      })
      return { name, bytes: bytes.length, sha256: digest.toString('hex'), already: false }
    } catch (e) {
      if (isBrokerError(e, 'wrong-revision')) {
        const now = await look(name, patience, lastOfByLeader)
        if (now.info?.nuid === id) return { name, bytes: bytes.length, sha256: digest.toString('hex'), already: false }
        await removeChunks(id)
        if (now.info !== undefined) return already(name, now.info, bytes, digest)
      } else await removeChunks(id)
      throw e
    }
  }

  /** Chunks without an entry are invisible and age out: removing them at once only saves room. */
  async function removeChunks(id: string): Promise<void> {
    if (!broker.connected) return
    await purgeSubject(broker, stream, chunkSubject(id), {
      signal: new AbortController().signal,
      giveUpAfterMs: 0,
    }).catch(() => {})
  }

  async function chunksOf(info: ObjectInfo, patience: Patience): Promise<Uint8Array[] | undefined> {
    const subject = chunkSubject(info.nuid)
    const chunks: Uint8Array[] = []
    for (let seq = 1; chunks.length < info.chunks; ) {
      const chunk =
        info.chunks === 1
          ? await lastOf(broker, stream, subject, patience)
          : await nextOf(broker, stream, subject, seq, patience)
      if (chunk === undefined) return undefined
      chunks.push(chunk.bytes)
      seq = chunk.seq + 1
    }
    return chunks
  }

  async function get(name: string, patience: Patience): Promise<Uint8Array> {
    const { info } = await look(name, patience)
    const absent = () => new BrokerError('not-found', `get ${name} from ${bucket}: there is no such object`)
    if (info === undefined) throw absent()
    if (info.options?.link !== undefined)
      throw new BrokerError('invalid', `get ${name} from ${bucket}: it is a link, not an object`)
    const chunks = await chunksOf(info, patience)
    if (chunks === undefined) {
      const now = await look(name, patience, lastOfByLeader)
      if (now.info?.nuid !== info.nuid) throw absent()
      throw new BrokerError('corrupt', `get ${name} from ${bucket}: some of its ${info.chunks} chunks are missing`)
    }
    const bytes = new Uint8Array(Buffer.concat(chunks))
    if (bytes.length !== info.size || !isDigest(info.digest, sha256(bytes)))
      throw new BrokerError(
        'corrupt',
        `get ${name} from ${bucket}: ${bytes.length} bytes do not match the digest of ${info.size}`,
      )
    return bytes
  }

  return {
    bucket,
    put,
    get,
    async forget(name, patience) {
      const { info, was } = await look(name, patience)
      const id = (info ?? was)?.nuid
      // The entry first: a reader then finds nothing rather than an object without chunks.
      await purgeSubject(broker, stream, metaSubject(name), patience)
      if (id !== undefined) await purgeSubject(broker, stream, chunkSubject(id), patience)
    },
    async names(patience, prefix = '') {
      const found = await subjects(broker, stream, `$O.${bucket}.M.>`, patience)
      const start = `$O.${bucket}.M.`.length
      return [...found.keys()]
        .map(subject => Buffer.from(subject.slice(start), 'base64url').toString('utf8'))
        .filter(name => name.startsWith(prefix))
        .sort((a, b) => (a < b ? -1 : 1))
    },
    async bytes(patience) {
      const info = await streamInfo(broker, stream, patience)
      if (info === undefined) throw new BrokerError('not-found', `there is no object store ${bucket}`)
      return info.state.bytes
    },
  }
}

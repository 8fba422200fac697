import { nuid } from 'nats'
import type { Broker } from './broker.js'
import { ensure, purgeSubject, streamInfo } from './ensure.js'
import { BrokerError, isBrokerError } from './errors.js'
import { checkBucketName, objectStream } from './names.js'
import {
  chunkSubject,
  decodeInfo,
  digestText,
  encodeInfo,
  entrySubject,
  everyEntry,
  isDigest,
  nameIn,
  type ObjectInfo,
  objectStore,
  sha256,
} from './object.js'
import type { Patience } from './patience.js'
import { type Stored, store as storeMessage } from './publish.js'
import { lastOf, lastOfByLeader, nextOf, type StoredMessage, subjects } from './read.js'
import type { StreamChoices } from './stream.js'

// The client library reads and writes the same objects, but hashes in JavaScript (20 times slower) and leaves a consumer behind
// at every read, of which a server takes a thousand.

export interface StoredObject {
  name: string
  /** Size. */
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
/** One attempt at a chunk, milliseconds, unless said otherwise: 1 MiB in that time is a line of 1.7 Mbit/s. */
const CHUNK_ATTEMPT_MS = 5_000
/** How often a name that was forgotten by somebody in the very moment is taken again. */
const TAKE_ATTEMPTS = 3

/** Makes the bucket if it is absent, and opens it. */
export async function ensureStore(broker: Broker, bucket: string, options: StreamChoices & Patience): Promise<Store> {
  await ensure(broker, [objectStore(bucket, options)], options)
  return openStore(broker, bucket)
}

/** Opens a bucket that exists; nothing is asked of the broker yet. */
export function openStore(broker: Broker, bucket: string): Store {
  checkBucketName(bucket)
  const place: Place = { broker, bucket, stream: objectStream(bucket) }
  return {
    bucket,
    put: (name, bytes, patience) => put(place, name, bytes, slowly(patience)),
    get: (name, patience) => get(place, name, slowly(patience)),
    forget: (name, patience) => forget(place, name, patience),
    async names(patience, prefix = '') {
      const found = await subjects(broker, place.stream, everyEntry(bucket), patience)
      return [...found.keys()]
        .map(subject => nameIn(bucket, subject))
        .filter(name => name.startsWith(prefix))
        .sort((a, b) => (a < b ? -1 : 1))
    },
    async bytes(patience) {
      const info = await streamInfo(broker, place.stream, patience)
      if (info === undefined) throw new BrokerError('not-found', `there is no object store ${bucket}`)
      return info.state.bytes
    },
  }
}

interface Place {
  broker: Broker
  bucket: string
  stream: string
}

const slowly = (patience: Patience): Patience => ({ ...patience, attemptMs: patience.attemptMs ?? CHUNK_ATTEMPT_MS })

/** What is known of a name, and the sequence that says so (0: nothing). */
interface Known {
  seq: number
  info?: ObjectInfo
}

async function look(
  { broker, bucket, stream }: Place,
  name: string,
  patience: Patience,
  read: (b: Broker, stream: string, subject: string, p: Patience) => Promise<StoredMessage | undefined> = lastOf,
): Promise<Known> {
  const kept = await read(broker, stream, entrySubject(bucket, name), patience)
  return kept === undefined ? { seq: 0 } : { seq: kept.seq, info: decodeInfo(kept.bytes) }
}

const isThere = (known: Known): known is { seq: number; info: ObjectInfo } =>
  known.info !== undefined && !known.info.deleted

async function put(place: Place, name: string, bytes: Uint8Array, patience: Patience): Promise<StoredObject> {
  const { bucket } = place
  if (name === '') throw new BrokerError('invalid', `put in ${bucket}: an object needs a name`)
  const digest = sha256(bytes)
  const stored = (already: boolean) => ({ name, bytes: bytes.length, sha256: digest.toString('hex'), already })
  const twice = (info: ObjectInfo) => {
    if (info.size === bytes.length && isDigest(info.digest, digest)) return stored(true)
    throw new BrokerError('different', `put ${name} in ${bucket}: other content is stored under this name`)
  }

  let before = await look(place, name, patience)
  if (isThere(before)) return twice(before.info)
  const id = nuid.next()
  const info: ObjectInfo = {
    name,
    description: '',
    bucket,
    nuid: id,
    size: bytes.length,
    chunks: await putChunks(place, name, id, bytes, patience),
    digest: digestText(digest),
    mtime: new Date().toISOString(),
    deleted: false,
    options: { max_chunk_size: MAX_CHUNK_BYTES },
  }
  for (let attempt = 1; ; attempt++) {
    try {
      await putEntry(place, info, before.seq, patience)
      return stored(false)
    } catch (e) {
      // Any other failure leaves open whether the entry counts: its chunks stay, and age out if it does not.
      if (!isBrokerError(e, 'wrong-revision')) throw e
      before = await look(place, name, patience, lastOfByLeader)
      if (before.info?.nuid === id) return stored(false)
      if (!isThere(before) && attempt < TAKE_ATTEMPTS) continue
      await removeChunks(place, id)
      if (isThere(before)) return twice(before.info)
      throw e
    }
  }
}

async function putChunks(
  place: Place,
  name: string,
  id: string,
  bytes: Uint8Array,
  patience: Patience,
): Promise<number> {
  const { broker, bucket, stream } = place
  const size = Math.min(MAX_CHUNK_BYTES, broker.info.maxPayload - HEADER_BYTES)
  let chunks = 0
  try {
    // One after the other: a chunk that had to be repeated must not end up behind its successor.
    for (let from = 0; from < bytes.length; from += size) {
      await storeMessage(broker, chunkSubject(bucket, id), bytes.subarray(from, from + size), {
        ...patience,
        id: `${id}.${chunks}`,
        expectStream: stream,
        doing: `put ${name} in ${bucket}`,
      })
      chunks++
    }
    return chunks
  } catch (e) {
    await removeChunks(place, id)
    throw e
  }
}

/** Takes the name, if nobody else took it since `before`; of its older entries nothing is kept. */
function putEntry({ broker, stream }: Place, info: ObjectInfo, before: number, patience: Patience): Promise<Stored> {
  const { name, bucket, nuid } = info
  return storeMessage(broker, entrySubject(bucket, name), encodeInfo(info), {
    ...patience,
    id: `${nuid}.entry`,
    expectStream: stream,
    doing: `put ${name} in ${bucket}`,
    headers: { 'Nats-Rollup': 'sub', 'Nats-Expected-Last-Subject-Sequence': String(before) },
  })
}

/** Chunks without an entry are invisible and age out: removing them at once only saves room. */
async function removeChunks({ broker, bucket, stream }: Place, id: string): Promise<void> {
  const patience = { signal: new AbortController().signal, giveUpAfterMs: 0 }
  await purgeSubject(broker, stream, chunkSubject(bucket, id), patience).catch(() => {})
}

async function get(place: Place, name: string, patience: Patience): Promise<Uint8Array> {
  const { bucket } = place
  const doing = `get ${name} from ${bucket}`
  const absent = () => new BrokerError('not-found', `${doing}: there is no such object`)
  const known = await look(place, name, patience)
  if (!isThere(known)) throw absent()
  const { info } = known
  if (info.options?.link !== undefined) throw new BrokerError('invalid', `${doing}: it is a link, not an object`)
  const chunks = await chunksOf(place, info, patience)
  if (chunks === undefined) {
    const now = await look(place, name, patience, lastOfByLeader)
    if (now.info?.nuid !== info.nuid) throw absent()
    throw new BrokerError('corrupt', `${doing}: some of its ${info.chunks} chunks are missing`)
  }
  const bytes = new Uint8Array(Buffer.concat(chunks))
  if (bytes.length !== info.size || !isDigest(info.digest, sha256(bytes)))
    throw new BrokerError('corrupt', `${doing}: the ${bytes.length} bytes found are not the ${info.size} that were put`)
  return bytes
}

/** In order; undefined when one is missing. */
async function chunksOf(
  { broker, bucket, stream }: Place,
  { nuid, chunks: count }: ObjectInfo,
  patience: Patience,
): Promise<Uint8Array[] | undefined> {
  const subject = chunkSubject(bucket, nuid)
  const chunks: Uint8Array[] = []
  for (let seq = 1; chunks.length < count; ) {
    const chunk = await (count === 1
      ? lastOf(broker, stream, subject, patience)
      : nextOf(broker, stream, subject, seq, patience))
    if (chunk === undefined) return undefined
    chunks.push(chunk.bytes)
    seq = chunk.seq + 1
  }
  return chunks
}

async function forget(place: Place, name: string, patience: Patience): Promise<void> {
  const { broker, bucket, stream } = place
  const { info } = await look(place, name, patience)
  // The entry first: a reader then finds nothing rather than an object without chunks.
  await purgeSubject(broker, stream, entrySubject(bucket, name), patience)
  if (info !== undefined) await purgeSubject(broker, stream, chunkSubject(bucket, info.nuid), patience)
}

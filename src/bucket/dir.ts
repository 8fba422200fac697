import { mkdirSync } from 'node:fs'
import { open, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { type Bucket, BucketError } from './bucket.js'
import { dirError, ifPresent, isAbsent, writeNew } from './dir-files.js'
import { pathOfKey } from './dir-layout.js'
import { type DirStore, keysUnder, objectFacts, publish, removeObject, scratch } from './dir-objects.js'
import { abortUpload, completeUpload, openUpload, partsOf, putPart, tidyUploads, uploadsUnder } from './dir-uploads.js'
import { singleEtag } from './expected.js'
import { checkKey } from './key.js'

/** A file being written that nobody touched for this long belongs to a process that crashed, ms. Writing takes seconds. */
const LEFT_BEHIND_MS = 60 * 60 * 1_000

export const dirOptions = z.strictObject({
  /** The bucket's folder. */
  folder: z.string().min(1, 'a dir bucket needs a folder'),
  /** Make the folder when it is absent; otherwise every call fails with 'no-such-bucket'. */
  create: z.boolean().default(false),
})
export type DirOptions = z.input<typeof dirOptions>

/**
 * A folder as an object store: several processes may use it at once, and any of them may be killed at any point. Objects
 * are plain files under the path of their key. Lists carry no metadata, as on S3.
 * @param now the store's clock, unix ms
 * @throws BucketError when the folder has to be made and cannot
 */
export function openDirBucket(options: DirOptions, now: () => number = Date.now): Bucket {
  const { folder, create } = dirOptions.parse(options)
  const root = resolve(folder)
  const store: DirStore = { root, now }
  if (create) {
    try {
      mkdirSync(root, { recursive: true })
    } catch (error) {
      throw dirError(error, `making ${root}`)
    }
  }

  let tidied: Promise<void> | undefined
  /** Once per process, before its first write. A failure is told and tried again by the next call. */
  const tidy = () => {
    tidied ??= tidyUploads(store, LEFT_BEHIND_MS).catch((error: unknown) => {
      tidied = undefined
      throw error
    })
    return tidied
  }

  /** Runs one call: the folder must be there, an abort ends it with the caller's reason, errors say what comes next. */
  const call = async <T>(doing: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted()
    try {
      if (!(await ifPresent(stat(root))))
        throw new BucketError('no-such-bucket', `there is no folder ${root}: make it, or set bucket.folder`, 'never')
      return await work()
    } catch (error) {
      throw dirError(error, doing)
    }
  }
  const write = <T>(doing: string, signal: AbortSignal, work: () => Promise<T>) =>
    call(doing, signal, async () => {
      await tidy()
      return work()
    })

  return {
    kind: 'dir',
    place: root,

    async head(key, signal) {
      checkKey(key)
      return call(`looking at ${key}`, signal, () => objectFacts(store, key, signal))
    },

    async get(key, signal, range) {
      checkKey(key)
      return call(`reading ${key}`, signal, () => readObject(store, key, signal, range))
    },

    async *list(prefix, signal) {
      for (const key of await call(`listing ${prefix}`, signal, () => keysUnder(store, prefix, signal))) {
        const facts = await call(`listing ${prefix}`, signal, () => objectFacts(store, key, signal))
        if (facts) yield { ...facts, metadata: {} }
      }
    },

    async put(key, body, signal, { metadata = {} } = {}) {
      checkKey(key)
      return write(`writing ${key}`, signal, async () => {
        pathOfKey(key)
        const file = scratch(store)
        await writeNew(file, [body], signal)
        const etag = singleEtag(body)
        await publish(store, file, { key, etag, metadata }, signal).catch(async (error: unknown) => {
          await rm(file, { force: true })
          throw error
        })
        return { etag }
      })
    },

    async remove(key, signal) {
      checkKey(key)
      return write(`removing ${key}`, signal, () => removeObject(store, key))
    },

    async openUpload(key, signal, { metadata = {} } = {}) {
      checkKey(key)
      return write(`opening an upload of ${key}`, signal, async () => {
        pathOfKey(key)
        return { uploadId: await openUpload(store, key, metadata, signal) }
      })
    },

    async putPart(key, uploadId, number, body, signal) {
      checkKey(key)
      return write(`writing part ${number} of ${key}`, signal, () =>
        putPart(store, key, uploadId, number, body, signal),
      )
    },

    async listParts(key, uploadId, signal) {
      checkKey(key)
      return call(`listing the parts of ${key}`, signal, () => partsOf(store, key, uploadId))
    },

    async complete(key, uploadId, parts, signal) {
      checkKey(key)
      return write(`completing ${key}`, signal, async () => ({
        etag: await completeUpload(store, key, uploadId, parts, signal),
      }))
    },

    async abort(key, uploadId, signal) {
      checkKey(key)
      return write(`aborting an upload of ${key}`, signal, () => abortUpload(store, key, uploadId))
    },

    async listUploads(prefix, signal) {
      return write(`listing the uploads under ${prefix}`, signal, () => uploadsUnder(store, prefix))
    },

    close() {},
  }
}

async function readObject(
  store: DirStore,
  key: string,
  signal: AbortSignal,
  range: { from: number; to: number } | undefined,
): Promise<Uint8Array> {
  const file = await open(join(store.root, pathOfKey(key)), 'r').catch((error: unknown) => {
    throw isAbsent(error) ? new BucketError('no-such-key', `there is no object ${key}`, 'never') : error
  })
  try {
    const { size } = await file.stat()
    const { from, to } = range ?? { from: 0, to: size }
    if (range && !(from >= 0 && from < to && from < size))
      throw new BucketError(
        'invalid-range',
        `${key} has ${size} bytes: there is nothing from ${from} to ${to}`,
        'never',
      )
    const bytes = Buffer.alloc(Math.min(to, size) - from)
    for (let at = 0; at < bytes.length; ) {
      signal.throwIfAborted()
      const { bytesRead } = await file.read(bytes, at, bytes.length - at, from + at)
      if (bytesRead === 0) throw new BucketError('server', `${key} was shortened while it was read`, 'later')
      at += bytesRead
    }
    return bytes
  } finally {
    await file.close()
  }
}

import { randomUUID } from 'node:crypto'
import { readdir, readFile, rm, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectFacts } from './bucket.js'
import { fileTag, ifPresent, md5OfFile, moveInto, writeNew } from './dir-files.js'
import { keyDigest, pathOfKey, segmentOfFile, segmentOfFolder } from './dir-layout.js'

/** A bucket's folder and its clock. */
export interface DirStore {
  /** Absolute path. */
  root: string
  /** Unix ms: what a store's own clock says. */
  now(): number
}

/** The bucket's own folder: uploads, facts about objects, files being written. No key leads into it. */
export const OWN_FOLDER = '.bucket'

/** What the object's file cannot say about itself. */
interface StoredFacts {
  key: string
  etag: string
  metadata: Record<string, string>
}

/** A path nobody else uses, for something being made or being removed. */
export function scratch(store: DirStore): string {
  return join(store.root, OWN_FOLDER, 'tmp', randomUUID())
}

/**
 * Makes a finished file the object `key`, in one step for every reader in every process. Its facts are written first, under
 * a name only this very file leads to: a crash in between leaves the old object, or none.
 * @param file on the same file system, complete and synced; it is gone afterwards. Throws ENOENT when it is not there
 */
export async function publish(store: DirStore, file: string, facts: StoredFacts, signal: AbortSignal): Promise<void> {
  const target = join(store.root, pathOfKey(facts.key))
  // The time an object gets is the time it becomes visible: validators compare exactly that with the deadline.
  const seconds = store.now() / 1_000
  await utimes(file, seconds, seconds)
  const { tag } = await fileTag(file)
  const draft = scratch(store)
  await writeNew(draft, [Buffer.from(JSON.stringify(facts))], signal)
  await moveInto(store.root, draft, factsPath(store, facts.key, tag))
  const before = await ifPresent(fileTag(target))
  await moveInto(store.root, file, target)
  if (before && before.tag !== tag) await rm(factsPath(store, facts.key, before.tag), { force: true })
}

/** Facts of an object; undefined when there is none. A file somebody copied here by hand is an object too: its MD5 is its etag. */
export async function objectFacts(store: DirStore, key: string, signal: AbortSignal): Promise<ObjectFacts | undefined> {
  const path = join(store.root, pathOfKey(key))
  for (;;) {
    const file = await ifPresent(fileTag(path))
    if (!file) return undefined
    const text = await ifPresent(readFile(factsPath(store, key, file.tag), 'utf8'))
    const stored = text === undefined ? undefined : (JSON.parse(text) as StoredFacts)
    const etag = stored?.etag ?? (await ifPresent(md5OfFile(path, signal)))
    // Replaced or removed while we looked: these would be the facts of two objects.
    if (etag === undefined || (!stored && (await ifPresent(fileTag(path)))?.tag !== file.tag)) continue
    return {
      key,
      bytes: file.bytes,
      etag,
      lastModifiedMs: Math.floor(file.mtimeMs / 1_000) * 1_000,
      metadata: stored?.metadata ?? {},
    }
  }
}

/** Removes an object and its facts; nothing to do when it is not there. */
export async function removeObject(store: DirStore, key: string): Promise<void> {
  const path = join(store.root, pathOfKey(key))
  const file = await ifPresent(fileTag(path))
  if (!file) return
  await rm(path, { force: true })
  await rm(factsPath(store, key, file.tag), { force: true })
}

/** Keys under a prefix in the order of S3: by the bytes of their UTF-8. */
export async function keysUnder(store: DirStore, prefix: string, signal: AbortSignal): Promise<string[]> {
  const keys: string[] = []
  const walk = async (folder: string, above: string): Promise<void> => {
    signal.throwIfAborted()
    for (const entry of (await ifPresent(readdir(folder, { withFileTypes: true }))) ?? []) {
      const segment = entry.isDirectory() ? segmentOfFolder(entry.name) : segmentOfFile(entry.name)
      if (segment === undefined) continue
      const key = above + segment
      if (entry.isDirectory()) {
        const folderKey = `${key}/`
        if (folderKey.startsWith(prefix) || prefix.startsWith(folderKey))
          await walk(join(folder, entry.name), folderKey)
      } else if (key.startsWith(prefix)) keys.push(key)
    }
  }
  await walk(store.root, '')
  return keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

function factsPath(store: DirStore, key: string, tag: string): string {
  return join(store.root, OWN_FOLDER, 'facts', `${keyDigest(key)}-${tag}.json`)
}

import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BucketError, type OpenUpload, type PartFacts } from './bucket.js'
import { ifPresent, isAbsent, moveInto, readSteps, sweep, syncFolder, writeNew } from './dir-files.js'
import { type DirStore, OWN_FOLDER, publish, scratch } from './dir-objects.js'
import { multipartEtag, singleEtag } from './expected.js'
import { checkPartNumber, orderedParts } from './parts.js'

// An upload is a folder that is only ever moved as a whole:
//   open/<id>    upload.json, one file per part; parts may come and be replaced
//   sealed/<id>  the same and whole-<etag>, the finished object: nothing changes any more. From here one rename makes it visible
//   tmp/…        aborted or published: being removed
// A crash at any point leaves it in one of these, so it can be listed, aborted, or completed by another process.

/** Each part's file starts with the binary MD5 of what follows: number, MD5 and bytes of a part change in one rename. */
const MD5_BYTES = 16

interface UploadFacts {
  key: string
  metadata: Record<string, string>
  initiatedMs: number
}

/** An upload's folder and what stands in it. */
interface Upload extends UploadFacts {
  id: string
  folder: string
  sealed: boolean
}

/** @returns the id of a new upload */
export async function openUpload(
  store: DirStore,
  key: string,
  metadata: Record<string, string>,
  signal: AbortSignal,
): Promise<string> {
  const id = randomUUID()
  const draft = scratch(store)
  const facts: UploadFacts = { key, metadata, initiatedMs: store.now() }
  try {
    await mkdir(draft)
    await writeNew(join(draft, 'upload.json'), [Buffer.from(JSON.stringify(facts))], signal)
    await moveInto(store.root, draft, folderOf(store, 'open', id))
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    throw error
  }
  return id
}

/** Stores a part, or puts it in the place of an earlier one of that number. */
export async function putPart(
  store: DirStore,
  key: string,
  id: string,
  number: number,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<PartFacts> {
  checkPartNumber(number)
  const upload = await findUpload(store, key, id)
  if (upload.sealed) throw noSuchUpload(key)
  const etag = singleEtag(body)
  const draft = scratch(store)
  await writeNew(draft, [Buffer.from(etag, 'hex'), body], signal)
  try {
    await rename(draft, join(upload.folder, partName(number)))
  } catch (error) {
    await rm(draft, { force: true })
    // Completed or aborted while the part was being written.
    throw isAbsent(error) ? noSuchUpload(key) : error
  }
  await ifPresent(syncFolder(upload.folder))
  return { number, etag, bytes: body.length }
}

/** Parts of an upload, ascending. */
export async function partsOf(store: DirStore, key: string, id: string): Promise<PartFacts[]> {
  return lookingTwice(key, async () => readParts(await findUpload(store, key, id)))
}

/**
 * Makes the object of these parts visible and ends the upload. Of several that try at the same time one succeeds.
 * @returns the object's etag
 */
export async function completeUpload(
  store: DirStore,
  key: string,
  id: string,
  named: readonly PartFacts[],
  signal: AbortSignal,
): Promise<string> {
  // Whoever moves the upload's folder first has sealed it, whoever moves the finished file first has published it. The
  // others look once more: a sealed upload may still want publishing, by a process that did not crash.
  return lookingTwice(key, async () => {
    const upload = await findUpload(store, key, id)
    const stored = new Map((await readParts(upload)).map(part => [part.number, part]))
    const parts = orderedParts(named.map(part => sameAsStored(part, stored.get(part.number))))
    const etag = multipartEtag(parts.map(part => part.etag))
    const sealed = upload.sealed ? upload.folder : await seal(store, upload, parts, `whole-${etag}`, signal)
    await publish(store, join(sealed, `whole-${etag}`), { key, etag, metadata: upload.metadata }, signal)
    await removeFolder(store, sealed)
    return etag
  })
}

/** Ends an upload; nothing to do when there is none. */
export async function abortUpload(store: DirStore, key: string, id: string): Promise<void> {
  const upload = await findUpload(store, key, id).catch((error: unknown) => {
    if (error instanceof BucketError && error.code === 'no-such-upload') return undefined
    throw error
  })
  if (!upload) return
  await removeFolder(store, upload.folder)
  // It was sealed between the look and the move.
  if (!upload.sealed) await removeFolder(store, folderOf(store, 'sealed', id))
}

/** Uploads nobody has ended, by key and age. */
export async function uploadsUnder(store: DirStore, prefix: string): Promise<OpenUpload[]> {
  const found: OpenUpload[] = []
  for (const state of ['open', 'sealed'] as const) {
    for (const id of await readdir(join(store.root, OWN_FOLDER, state))) {
      const upload = await readUpload(store, state, id)
      if (!upload?.key.startsWith(prefix)) continue
      if (upload.sealed && !(await wholeName(upload.folder))) continue
      found.push({ key: upload.key, uploadId: id, initiatedMs: upload.initiatedMs })
    }
  }
  const byKey = (a: OpenUpload, b: OpenUpload) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))
  return found.sort((a, b) => byKey(a, b) || a.initiatedMs - b.initiatedMs)
}

/** Makes the folders of uploads and removes what crashed processes left in them. @param ageMs how long a thing must have been untouched */
export async function tidyUploads(store: DirStore, ageMs: number): Promise<void> {
  const own = join(store.root, OWN_FOLDER)
  for (const name of ['tmp', 'facts', 'open', 'sealed']) await mkdir(join(own, name), { recursive: true })
  await sweep(join(own, 'tmp'), await readdir(join(own, 'tmp')), store.now(), ageMs)
  const published: string[] = []
  for (const id of await readdir(join(own, 'sealed')))
    if (!(await wholeName(join(own, 'sealed', id)))) published.push(id)
  await sweep(join(own, 'sealed'), published, store.now(), ageMs)
}

function sameAsStored(named: PartFacts, stored: PartFacts | undefined): PartFacts {
  if (stored?.etag === named.etag) return stored
  throw new BucketError('invalid-part', `part ${named.number} is not what was stored under that number`, 'never')
}

/** Puts the parts together and moves the upload to where nothing changes any more. @returns its folder */
async function seal(
  store: DirStore,
  upload: Upload,
  parts: readonly PartFacts[],
  name: string,
  signal: AbortSignal,
): Promise<string> {
  const draft = join(upload.folder, `draft-${randomUUID()}`)
  await writeNew(draft, contentOf(upload.folder, parts, signal), signal)
  await rename(draft, join(upload.folder, name))
  const sealed = folderOf(store, 'sealed', upload.id)
  await moveInto(store.root, upload.folder, sealed)
  return sealed
}

async function* contentOf(
  folder: string,
  parts: readonly PartFacts[],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    const hash = createHash('md5')
    for await (const step of readSteps(join(folder, partName(part.number)), MD5_BYTES, signal)) {
      hash.update(step)
      yield step
    }
    if (hash.digest('hex') !== part.etag)
      throw new BucketError('invalid-part', `part ${part.number} was replaced or damaged on the disk`, 'never')
  }
}

/** Another process may move an upload's folder at any moment: what is gone is looked for once more, where it is then. */
async function lookingTwice<T>(key: string, work: () => Promise<T>): Promise<T> {
  for (let again = true; ; again = false) {
    try {
      return await work()
    } catch (error) {
      if (!isAbsent(error)) throw error
      if (!again) throw noSuchUpload(key)
    }
  }
}

/** Throws ENOENT when the folder is moved meanwhile: some of the parts are never taken for all. */
async function readParts(upload: Upload): Promise<PartFacts[]> {
  const parts: PartFacts[] = []
  for (const name of (await readdir(upload.folder)).sort()) {
    if (!/^\d{5}$/.test(name)) continue
    const file = await open(join(upload.folder, name), 'r')
    try {
      const { buffer } = await file.read(Buffer.alloc(MD5_BYTES), 0, MD5_BYTES, 0)
      const { size } = await file.stat()
      parts.push({ number: Number(name), etag: buffer.toString('hex'), bytes: size - MD5_BYTES })
    } finally {
      await file.close()
    }
  }
  return parts
}

async function findUpload(store: DirStore, key: string, id: string): Promise<Upload> {
  // Ids come from callers' memories: only such a one may become part of a path.
  if (!/^[0-9a-f-]{36}$/.test(id)) throw noSuchUpload(key)
  // Twice open, as it may have been sealed between the looks.
  const upload = (await readUpload(store, 'open', id)) ?? (await readUpload(store, 'sealed', id))
  if (upload?.key !== key || (upload.sealed && !(await wholeName(upload.folder)))) throw noSuchUpload(key)
  return upload
}

async function readUpload(store: DirStore, state: 'open' | 'sealed', id: string): Promise<Upload | undefined> {
  const folder = folderOf(store, state, id)
  const text = await ifPresent(readFile(join(folder, 'upload.json'), 'utf8'))
  return text === undefined
    ? undefined
    : { ...(JSON.parse(text) as UploadFacts), id, folder, sealed: state === 'sealed' }
}

async function wholeName(folder: string): Promise<string | undefined> {
  return (await ifPresent(readdir(folder)))?.find(name => name.startsWith('whole-'))
}

async function removeFolder(store: DirStore, folder: string): Promise<void> {
  const trash = scratch(store)
  // First out of sight in one step, then piece by piece: half an upload is never seen.
  if ((await ifPresent(rename(folder, trash).then(() => true))) === undefined) return
  await rm(trash, { recursive: true, force: true })
}

function folderOf(store: DirStore, state: 'open' | 'sealed', id: string): string {
  return join(store.root, OWN_FOLDER, state, id)
}

function partName(number: number): string {
  return String(number).padStart(5, '0')
}

function noSuchUpload(key: string): BucketError {
  return new BucketError('no-such-upload', `there is no open upload of ${key} with this id`, 'never')
}

import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Profile } from '../protocol/profile.js'
import { assembleApart } from './assemble-apart.js'
import type { Kept } from './cached.js'
import { CheckpointError } from './checkpoint-error.js'
import { DELTA_METADATA_FILE, DELTA_WEIGHTS_FILE, readDeltaFormat } from './delta-format-file.js'
import { type Room, requireRoom } from './disk.js'
import { downloadForm } from './download.js'
import { type Digest, digestOfFile } from './file-digest.js'
import type { ObjectReader } from './object-reader.js'
import type { CheckpointKind } from './paths.js'
import type { Pace } from './patience.js'
import type { Published } from './published.js'
import { isWeightFile } from './safetensors.js'
import { sealedBytes } from './seal.js'
import { weightsHashOfFolder } from './weights-hash.js'

const METADATA_FILE = 'metadata.json'

/** How far a checkpoint is. */
export type MakingProgress =
  /** Bytes that are here, of how many. */
  | { kind: 'downloading'; window: number; form: CheckpointKind; done: number; total: number }
  | { kind: 'assembling'; window: number; base: number; deltas: number }

/** What making a checkpoint needs. */
export interface Making extends Pace, Room {
  bucket: ObjectReader
  profile: Profile
  /** Folder of this process' own, in which a dead process may have left a beginning. */
  partial: string
  /** '' when nobody published it. */
  weightsHash: string
  /** Requests under way at once. */
  parallel?: number | undefined
  /** Puts weights together at the lowest priority. */
  inBackground?: boolean
  onProgress(progress: MakingProgress): void
}

/** A whole checkpoint that nobody sees yet. */
export interface Made {
  folder: string
  /** Of its weights, computed here; '' without weights. */
  weightsHash: string
  digests: ReadonlyMap<string, Digest>
}

/** Fetches a FULL form. @throws CheckpointError; the bucket's and the file system's errors */
export async function makeFull(full: Published, making: Making, signal: AbortSignal): Promise<Made> {
  const { window } = full.files
  const digests = await fetchForm(full, join(making.partial, 'full'), making, signal)
  const folder = join(making.partial, 'full', 'files')
  const weightsHash = await weightsHashOfFolder(folder, making.profile, signal)
  requireHash(window, weightsHash, making)
  digests.set(METADATA_FILE, await writeMetadata(folder, full.json, signal))
  return { folder, weightsHash, digests }
}

/**
 * Puts deltas on top of a cached checkpoint. The environment's fields in its metadata.json are the newest delta's, from the
 * bucket; files that are no weights are the base's.
 * @param links oldest first
 * @throws CheckpointError; the bucket's and the file system's errors
 */
export async function makeFromDeltas(
  base: Kept,
  links: readonly Published[],
  making: Making,
  signal: AbortSignal,
): Promise<Made> {
  const { profile, partial } = making
  const target = links.at(-1)!
  const { window } = target.files
  if (making.weightsHash === '')
    throw new CheckpointError(
      'malformed',
      `the metadata of delta ${window} has no weights_hash: what comes out could not be checked`,
      'never',
    )
  const deltas = []
  for (const link of links) {
    const folder = join(partial, 'deltas', String(link.files.window))
    await fetchForm(link, folder, making, signal)
    for (const needed of [DELTA_METADATA_FILE, DELTA_WEIGHTS_FILE])
      if (!link.files.manifest.has(needed))
        throw new CheckpointError('malformed', `delta ${link.files.window} has no ${needed}`, 'never')
    const version = await readDeltaFormat(join(folder, 'files', DELTA_METADATA_FILE), link.files.window, profile)
    deltas.push({ window: link.files.window, file: join(folder, 'files', DELTA_WEIGHTS_FILE), version })
  }

  await requireRoom(partial, sealedBytes(base.seal), making)
  const folder = join(partial, 'assembled')
  const scratch = join(partial, 'unpacked')
  for (const leftover of [folder, scratch]) await rm(leftover, { recursive: true, force: true })
  await mkdir(folder)
  const others = Object.entries(base.seal.files).filter(([path]) => !isWeightFile(path) && path !== METADATA_FILE)
  making.onProgress({ kind: 'assembling', window, base: base.window, deltas: deltas.length })
  const { weightsHash, digests } = await assembleApart(
    { base: base.folder, others: others.map(([path]) => path), deltas, folder, scratch, profile: profile.id },
    signal,
    making.inBackground,
  )
  requireHash(window, weightsHash, making)
  const copied = others.map(([path, { digest }]) => [path, digest] as const)
  const metadata = {
    ...target.json,
    checkpoint_type: 'FULL',
    prev_window: null,
    file_manifest: Object.fromEntries(copied.map(([path, digest]) => [path, digest.replace(/^sha256:/, '')])),
  }
  const written = await writeMetadata(folder, metadata, signal)
  return { folder, weightsHash, digests: new Map([...digests, ...copied, [METADATA_FILE, written]]) }
}

async function fetchForm(
  form: Published,
  folder: string,
  making: Making,
  signal: AbortSignal,
): Promise<Map<string, Digest>> {
  await mkdir(folder, { recursive: true })
  const { window } = form.files
  const onProgress = (done: number, total: number) =>
    making.onProgress({ kind: 'downloading', window, form: form.kind, done, total })
  return downloadForm(making.bucket, form, folder, { ...making, signal, onProgress })
}

function requireHash(window: number, found: string, { weightsHash }: Making): void {
  if (weightsHash === '' || found === weightsHash.toLowerCase()) return
  throw new CheckpointError(
    'weights-hash',
    `the weights of checkpoint ${window} have the hash ${found || '(none)'}, the trainer published ${weightsHash}`,
    'never',
  )
}

async function writeMetadata(folder: string, json: Record<string, unknown>, signal: AbortSignal): Promise<Digest> {
  const path = join(folder, METADATA_FILE)
  await writeFile(path, `${JSON.stringify(json, null, 2)}\n`)
  return digestOfFile(path, 'sha256', signal)
}

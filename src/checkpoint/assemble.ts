import { copyFile, type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { profileOf } from '../protocol/profile.js'
import { assignChanges, checkFits, DeltaError } from './delta.js'
import { type DeltaFile, openDelta, unpackDelta } from './delta-file.js'
import type { DeltaVersion } from './delta-format.js'
import { type Digest, type Digester, digester } from './file-digest.js'
import { readWeightFiles, type StoredTensor, type WeightFile } from './safetensors.js'
import { weightsHashOfFolder } from './weights-hash.js'

/** Bytes of one read of what is only copied. */
const STEP_BYTES = 8 * 1024 * 1024

/** How a checkpoint is put together. Everything in it can be sent to another process. */
export interface Assembly {
  /** Folder of the checkpoint that the first delta builds on. */
  base: string
  /** Files of the base that are no weights, by path: taken over as they are. */
  others: readonly string[]
  /** Oldest first. */
  deltas: readonly { window: number; file: string; version: DeltaVersion }[]
  /** New, empty folder. */
  folder: string
  /** Folder for what is needed in between. */
  scratch: string
  /** Id of the profile whose weights hash is computed. */
  profile: string
}

/** What was put together. */
export interface Assembled {
  weightsHash: string
  /** Of the files of weights, by path. */
  digests: [path: string, digest: Digest][]
}

/**
 * Writes a base's weights with deltas put on top into a new folder, in the base's files and order of tensors, beside copies of
 * its other files. Holds one tensor and its changes at a time, and one packed delta while it is unpacked. The weights hash is
 * of what was written, read again.
 * @throws DeltaError when a delta is not whole or does not fit the base; CheckpointError 'malformed' for the base; errors of
 *   the file system
 */
export async function assemble(job: Assembly, signal: AbortSignal): Promise<Assembled> {
  const deltas: { window: number; file: DeltaFile }[] = []
  try {
    await mkdir(job.scratch, { recursive: true })
    for (const { window, file, version } of job.deltas) {
      signal.throwIfAborted()
      const unpacked = join(job.scratch, `${window}.delta`)
      await unpackDelta(file, unpacked)
      deltas.push({ window, file: await openDelta(unpacked, version) })
    }
    for (const path of job.others) {
      await mkdir(dirname(join(job.folder, path)), { recursive: true })
      await copyFile(join(job.base, path), join(job.folder, path))
    }
    const files = await readWeightFiles(job.base)
    checkAllFit(files, deltas)
    const digests: Assembled['digests'] = []
    for (const file of files) digests.push([file.file, await writeWeights(job, file, deltas, signal)])
    return { weightsHash: await weightsHashOfFolder(job.folder, profileOf(job.profile), signal), digests }
  } finally {
    for (const { file } of deltas) await file.close()
  }
}

/** Every change must be of a tensor of the base, before anything is written. */
function checkAllFit(files: readonly WeightFile[], deltas: readonly { window: number; file: DeltaFile }[]): void {
  const tensors = new Map(files.flatMap(file => file.tensors).map(tensor => [tensor.name, tensor]))
  for (const { window, file } of deltas)
    for (const { name, value_dtype: type, shape } of file.entries.values())
      try {
        checkFits(name, tensors.get(name), { type, shape })
      } catch (error) {
        throw error instanceof DeltaError ? new DeltaError(`delta of ${window}: ${error.message}`) : error
      }
}

async function writeWeights(
  job: Assembly,
  { file, dataStart, tensors }: WeightFile,
  deltas: readonly { file: DeltaFile }[],
  signal: AbortSignal,
): Promise<Digest> {
  const from = await open(join(job.base, file), 'r')
  try {
    const to = await open(join(job.folder, file), 'wx')
    try {
      const sink = { to, hash: await digester('xxh3-128') }
      await copy(from, 0, dataStart, sink, signal)
      for (const tensor of tensors) {
        const changes = deltas.flatMap(delta => {
          const entry = delta.file.entries.get(tensor.name)
          return entry ? [{ delta, entry }] : []
        })
        if (changes.length === 0) {
          await copy(from, tensor.offset, tensor.bytes, sink, signal)
          continue
        }
        const bytes = await readTensor(from, tensor)
        for (const { delta, entry } of changes) {
          signal.throwIfAborted()
          assignChanges(bytes, await delta.file.read(entry))
        }
        await write(sink, bytes)
      }
      return sink.hash.digest()
    } finally {
      await to.close()
    }
  } finally {
    await from.close()
  }
}

interface Sink {
  to: FileHandle
  hash: Digester
}

async function write({ to, hash }: Sink, bytes: Uint8Array): Promise<void> {
  hash.update(bytes)
  for (let done = 0; done < bytes.length; )
    done += (await to.write(bytes, done, Math.min(STEP_BYTES, bytes.length - done))).bytesWritten
}

async function copy(from: FileHandle, at: number, bytes: number, sink: Sink, signal: AbortSignal): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(STEP_BYTES, bytes))
  for (let done = 0; done < bytes; ) {
    signal.throwIfAborted()
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, bytes - done), at + done)
    if (bytesRead === 0)
      throw new DeltaError('the weights that the delta builds on were shortened while they were read')
    await write(sink, buffer.subarray(0, bytesRead))
    done += bytesRead
  }
}

async function readTensor(from: FileHandle, { name, offset, bytes }: StoredTensor): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(bytes)
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await from.read(buffer, done, Math.min(STEP_BYTES, bytes - done), offset + done)
    if (bytesRead === 0) throw new DeltaError(`${name} was shortened while it was read`)
    done += bytesRead
  }
  return buffer
}

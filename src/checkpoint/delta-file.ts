import { type FileHandle, open, readFile, writeFile } from 'node:fs/promises'
import { DeltaError, readDeltaHeader, readTensorDelta, type TensorDelta, unpack } from './delta.js'
import type { DeltaEntry, DeltaVersion } from './delta-format.js'

/** Largest header accepted, bytes: some hundred for each of some thousand tensors. */
const MAX_HEADER_BYTES = 64 * 1024 * 1024

/** An unpacked delta on the disk, of which one tensor at a time is read. */
export interface DeltaFile {
  /** What it changes, by tensor name. */
  readonly entries: ReadonlyMap<string, DeltaEntry>
  /** The changes of one tensor. Throws DeltaError. */
  read(entry: DeltaEntry): Promise<TensorDelta>
  close(): Promise<void>
}

/** Unpacks delta_sparse.bin.zst from one file into another. Needs memory for both. Throws DeltaError. */
export async function unpackDelta(from: string, to: string): Promise<void> {
  await writeFile(to, unpack(await readFile(from)))
}

/**
 * Opens an unpacked delta: `u32le header length ‖ header JSON ‖ data` (one-covenant/grail
 * grail/infrastructure/sparse_codec.py, 54d6342). Throws DeltaError when it is not whole or not of this version.
 */
export async function openDelta(path: string, version: DeltaVersion): Promise<DeltaFile> {
  const file = await open(path, 'r')
  try {
    const prefix = await readAt(file, 0, 4)
    const length = prefix.readUInt32LE(0)
    if (length > MAX_HEADER_BYTES) throw new DeltaError(`the header of the delta has ${length} bytes`)
    const header = readDeltaHeader(await readAt(file, 4, length))
    if (header.version !== version)
      throw new DeltaError(`the delta is of format version ${header.version}, its metadata says ${version}`)
    const dataStart = 4 + length
    return {
      entries: new Map(header.tensors.map(entry => [entry.name, entry])),
      async read(entry) {
        const indicesBytes = version === 2 ? entry.indices_size : (entry.rows_size ?? 0) + (entry.cols_size ?? 0)
        const indices = await readAt(file, dataStart + entry.indices_offset, indicesBytes)
        const values = await readAt(file, dataStart + entry.values_offset, entry.values_size)
        const moved = { ...entry, indices_offset: 0, values_offset: indices.length }
        return readTensorDelta(moved, version, Buffer.concat([indices, values]))
      },
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function readAt(file: FileHandle, from: number, bytes: number): Promise<Buffer> {
  const { size } = await file.stat()
  if (from + bytes > size) throw new DeltaError(`bytes ${from} to ${from + bytes} of ${size} do not exist`)
  const buffer = Buffer.allocUnsafe(bytes)
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await file.read(buffer, done, bytes - done, from + done)
    if (bytesRead === 0) throw new DeltaError('the delta was shortened while it was read')
    done += bytesRead
  }
  return buffer
}

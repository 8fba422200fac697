import { appendFile, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { ifPresent } from './disk.js'
import type { StoredObject } from './object-reader.js'

/** Bytes of one request: there within a request's time limit on a slow link, and little to repeat. */
export const CHUNK_BYTES = 8 * 1024 * 1024

/** A file whose chunks arrive in any order, over several runs of the program. */
export interface ChunkedFile {
  readonly path: string
  /** Numbers of the chunks that are not there, ascending. */
  readonly missing: readonly number[]
  /** Puts a chunk into its place and remembers that it is there. */
  put(chunk: number, bytes: Uint8Array): Promise<void>
  /** Forgets everything. */
  discard(): Promise<void>
}

/** Where a chunk lies in its object: bytes [from, to). */
export function chunkRange(chunk: number, bytes: number): { from: number; to: number } {
  const from = chunk * CHUNK_BYTES
  return { from, to: Math.min(from + CHUNK_BYTES, bytes) }
}

/**
 * Goes on with the file of an object, or begins it when what is there is of another one. Beside it a journal names the object
 * and, a line each, the chunks that are whole; a line is written after its chunk. What a power cut makes of this is
 * found by the file's digest, which is compared in any case.
 */
export async function chunkedFile(path: string, { key, etag, bytes }: StoredObject): Promise<ChunkedFile> {
  const journal = `${path}.chunks`
  const head = JSON.stringify({ key, etag, bytes, chunk: CHUNK_BYTES })
  const present = new Set<number>()
  const [first, ...lines] = ((await ifPresent(readFile(journal, 'utf8'))) ?? '').split('\n')
  const isThere = (await ifPresent(stat(path))) !== undefined
  // The last line may be half written: what counts ends with a line feed.
  if (first === head && isThere) for (const line of lines.slice(0, -1)) present.add(Number(line))
  else {
    await writeFile(path, '')
    await writeFile(journal, `${head}\n`)
  }
  const chunks = Math.ceil(bytes / CHUNK_BYTES)
  return {
    path,
    missing: Array.from({ length: chunks }, (_, chunk) => chunk).filter(chunk => !present.has(chunk)),
    async put(chunk, content) {
      const file = await open(path, 'r+')
      try {
        const { from } = chunkRange(chunk, bytes)
        for (let done = 0; done < content.length; )
          done += (await file.write(content, done, content.length - done, from + done)).bytesWritten
      } finally {
        await file.close()
      }
      await appendFile(journal, `${chunk}\n`)
    },
    async discard() {
      await rm(journal, { force: true })
      await rm(path, { force: true })
    },
  }
}

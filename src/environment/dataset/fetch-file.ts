import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { answer, attempt, NoUse, SILENCE_MS, type Silence } from './attempt.js'

/** What a file has to be once it is here. */
export interface ExpectedFile {
  url: string
  /** Bytes. */
  size: number
  /** sha256, hex; undefined when the server does not tell. */
  sha256: string | undefined
}

/** ms after its last byte when a partial file counts as left behind by a process that is gone. */
const ABANDONED_MS = 2 * SILENCE_MS

/**
 * Fetches a file to `target`. A download cut short, in this process or an earlier one, goes on where it stopped; the file
 * gets its name only once size and checksum are right. Several processes may fetch the same file: each writes its own.
 */
export async function fetchFile(file: ExpectedFile, target: string, signal: AbortSignal): Promise<void> {
  await mkdir(dirname(target), { recursive: true })
  const partial = await claimPartial(target)
  try {
    await attempt(signal, async silence => {
      const have = await sizeOf(partial)
      if (have < file.size) await append(file, partial, have, silence)
      const wrong = await wrongWith(partial, file)
      if (wrong === undefined) return
      await rm(partial, { force: true })
      throw new Error(`${file.url} arrived damaged: ${wrong}`)
    })
    await rename(partial, target)
  } catch (cause) {
    await rename(partial, `${target}.part`).catch(() => {})
    throw cause
  }
}

/** A file of this process' own to write to: what an earlier download left, if it can be had, else a new one. */
async function claimPartial(target: string): Promise<string> {
  const own = `${target}.part-${randomUUID()}`
  const folder = dirname(target)
  const left = (await readdir(folder)).filter(name => name.startsWith(`${basename(target)}.part`))
  for (const name of left) {
    const path = join(folder, name)
    const age = Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now())
    if (path !== `${target}.part` && age < ABANDONED_MS) continue
    const claimed = await rename(path, own).then(
      () => true,
      () => false,
    )
    if (claimed) return own
  }
  return own
}

async function append(file: ExpectedFile, partial: string, have: number, silence: Silence): Promise<void> {
  const response = await answer(file.url, have > 0 ? { range: `bytes=${have}-` } : {}, silence.signal)
  const resumed = response.status === 206
  let left = file.size - (resumed ? have : 0)
  const watched = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      silence.heard()
      left -= chunk.length
      if (left < 0) throw new NoUse(`${file.url} sends more than the ${file.size} bytes that were announced`)
      yield chunk
    }
  }
  // a server without ranges sends the whole file again
  const sink = createWriteStream(partial, { flags: resumed ? 'a' : 'w' })
  await pipeline(Readable.fromWeb(response.body!), watched, sink, { signal: silence.signal })
}

async function wrongWith(path: string, file: ExpectedFile): Promise<string | undefined> {
  const size = await sizeOf(path)
  if (size !== file.size) return `${size} bytes instead of ${file.size}`
  if (file.sha256 === undefined) return undefined
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
  return hash.digest('hex') === file.sha256 ? undefined : 'its checksum is not the announced one'
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0
}

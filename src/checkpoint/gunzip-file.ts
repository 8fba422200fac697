import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { type Digest, digester } from './file-digest.js'

/** Bytes a file may unpack to: publishers pack JSON only, the largest of it a tokenizer's vocabulary of some 10 MB. */
const MAX_UNPACKED_BYTES = 1024 ** 3

/** Unpacks a gzip file and digests (sha256) what comes out; undefined when it is none, is cut short, or unpacks to too much. */
export async function gunzipFile(from: string, to: string, signal: AbortSignal): Promise<Digest | undefined> {
  const hash = await digester('sha256')
  const out = await open(to, 'w')
  let bytes = 0
  try {
    await pipeline(
      createReadStream(from),
      createGunzip(),
      async (steps: AsyncIterable<Buffer>) => {
        for await (const step of steps) {
          bytes += step.length
          if (bytes > MAX_UNPACKED_BYTES) throw Object.assign(new Error('it unpacks to too much'), { code: 'Z_BOMB' })
          hash.update(step)
          await out.writeFile(step)
        }
      },
      { signal },
    )
    return hash.digest()
  } catch (error) {
    signal.throwIfAborted()
    if (String((error as NodeJS.ErrnoException).code).startsWith('Z_')) return undefined
    throw error
  } finally {
    await out.close()
  }
}

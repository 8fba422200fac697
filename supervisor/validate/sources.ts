import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Bucket, BucketError } from '../../src/bucket/bucket.js'
import type { ByteSource } from '../../src/window/parquet/source.js'
import type { LoadedConfig } from '../config/load.js'
import { bucketOf } from '../from-inventory.js'

/** A window file that can be opened to be judged. */
export interface Judged {
  /** As people call it. */
  name: string
  open(signal: AbortSignal): Promise<{ source: ByteSource; close(): Promise<void> }>
}

/** There is nothing to judge under this name. */
export class NothingToJudge extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'NothingToJudge'
  }
}

/**
 * The window files an argument names: a file, the *.parquet of a folder, or `s3://BUCKET/KEY` (`s3://BUCKET/PREFIX/` for all below).
 * @param config describes the bucket's endpoint and keys; only asked for when needed
 * @throws NothingToJudge when it names none; ConfigError and BucketError as they are
 */
export async function judgedOf(argument: string, config: () => LoadedConfig, signal: AbortSignal): Promise<Judged[]> {
  if (argument.startsWith('s3://')) return inBucket(argument, config(), signal)
  const facts = await stat(argument).catch((cause: NodeJS.ErrnoException) => {
    throw new NothingToJudge(
      cause.code === 'ENOENT'
        ? `there is no ${argument}`
        : `${argument} cannot be read: ${cause.code ?? cause.message}`,
      { cause },
    )
  })
  if (!facts.isDirectory()) return [file(argument)]
  const names = (await readdir(argument)).filter(name => name.endsWith('.parquet')).sort()
  if (names.length === 0) throw new NothingToJudge(`there are no .parquet files in ${argument}`)
  return names.map(name => file(join(argument, name)))
}

function file(path: string): Judged {
  return {
    name: path,
    open: async () => {
      const handle = await open(path).catch((cause: NodeJS.ErrnoException) => {
        throw new NothingToJudge(`${path} cannot be read: ${cause.code ?? cause.message}`, { cause })
      })
      const { size } = await handle.stat()
      return {
        source: { bytes: size, read: (from, to) => readAll(handle, path, from, to) },
        close: () => handle.close(),
      }
    },
  }
}

async function readAll(
  handle: Awaited<ReturnType<typeof open>>,
  path: string,
  from: number,
  to: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(to - from)
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, at, bytes.length - at, from + at)
    if (bytesRead === 0) throw new NothingToJudge(`${path} became shorter while it was read`)
    at += bytesRead
  }
  return bytes
}

async function inBucket(url: string, loaded: LoadedConfig, signal: AbortSignal): Promise<Judged[]> {
  const [, name = '', key = ''] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(url) ?? []
  if (name === '') throw new NothingToJudge(`${url} names no bucket: s3://BUCKET/KEY`)
  const { bucket: described } = loaded.config
  const wanted: LoadedConfig = {
    ...loaded,
    config: { ...loaded.config, bucket: { ...described, name: described.kind === 's3' ? name : described.name } },
  }
  const bucket = await bucketOf(wanted)
  const keys: string[] = []
  if (key === '' || key.endsWith('/')) {
    for await (const object of bucket.list(key, signal)) if (object.key.endsWith('.parquet')) keys.push(object.key)
  } else keys.push(key)
  if (keys.length === 0) throw new NothingToJudge(`there are no .parquet objects under ${url}`)
  return keys.map(one => ({ name: `s3://${name}/${one}`, open: openSignal => object(bucket, name, one, openSignal) }))
}

async function object(bucket: Bucket, name: string, key: string, signal: AbortSignal) {
  const facts = await bucket.head(key, signal)
  if (!facts) throw new NothingToJudge(`there is no s3://${name}/${key}`)
  const read = async (from: number, to: number) => {
    const bytes = from === to ? new Uint8Array() : await bucket.get(key, signal, { from, to })
    if (bytes.length !== to - from) throw new BucketError('server', `${key} changed while it was read`, 'later')
    return bytes
  }
  return { source: { bytes: facts.bytes, read }, close: async () => undefined }
}

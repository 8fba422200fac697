import { createRequire } from 'node:module'

/** Compresses in one go; zstd level 1. */
export type Zstd = (bytes: Buffer) => Uint8Array

/** The level of the reference (one-covenant/grail grail/infrastructure/parquet_io.py:265-272, 54d6342). */
const LEVEL = 1

/** Of zstd 1.5 with its Rust binding. The packages for other machines that belong to it are not published. */
const BUILD = '@toondepauw/node-zstd-linux-x64-gnu'

interface Build {
  Encoder: new (level: number) => { encodeSync(bytes: Buffer): Buffer }
}

let found: { zstd: Zstd | undefined } | undefined

/**
 * zstd as machine code, where there is a build of it (Linux on x86-64); undefined elsewhere. Node has one of its own from 22.15 on.
 * Looked for once, with the first window file.
 */
export function nativeZstd(): Zstd | undefined {
  found ??= { zstd: load() }
  return found.zstd
}

function load(): Zstd | undefined {
  const require = createRequire(import.meta.url)
  try {
    const { Encoder } = require(BUILD) as Build
    const encoder = new Encoder(LEVEL)
    return bytes => encoder.encodeSync(bytes)
  } catch {
    return undefined
  }
}

import { createHash } from 'node:crypto'
import { createXXHash128 } from 'hash-wasm'
import { readSteps } from './disk.js'

/** Kinds of digests: sha256 is what manifests have; xxh3-128 takes half the time and finds the same damage. */
export const DIGEST_KINDS = ['sha256', 'xxh3-128'] as const
export type DigestKind = (typeof DIGEST_KINDS)[number]
/** A digest with its kind, e.g. `sha256:…` in hex. */
export type Digest = `${DigestKind}:${string}`

/** Digests bytes that come in pieces. */
export interface Digester {
  update(bytes: Uint8Array): void
  digest(): Digest
}

export async function digester(kind: DigestKind): Promise<Digester> {
  if (kind === 'sha256') {
    const hash = createHash('sha256')
    return { update: bytes => hash.update(bytes), digest: () => `sha256:${hash.digest('hex')}` }
  }
  const hash = await createXXHash128()
  hash.init()
  return { update: bytes => hash.update(bytes), digest: () => `xxh3-128:${hash.digest('hex')}` }
}

export async function digestOfFile(path: string, kind: DigestKind, signal: AbortSignal): Promise<Digest> {
  const hash = await digester(kind)
  for await (const step of readSteps(path, signal)) hash.update(step)
  return hash.digest()
}

import type { Profile } from '../protocol/profile.js'
import { readDescription } from './description.js'
import type { Checkpoint, CheckpointMetadata } from './metadata.js'
import type { PublishedCheckpoint } from './published.js'
import { isUntouched, readSeal, recheck, type Seal } from './seal.js'

/** A checkpoint in the cache whose files are as they were verified. */
export interface Kept {
  window: number
  folder: string
  seal: Seal
}

/** What a look at a cached checkpoint's folder tells: as it was verified, to be read again before it is used, or of no use. */
export type Look = { state: 'verified' | 'unsure'; seal: Seal } | { state: 'useless' }

/** Looks at a cached checkpoint without reading its weights. */
export async function lookAt(folder: string, published: PublishedCheckpoint): Promise<Look> {
  const seal = await readSeal(folder)
  if (!seal || !isSame(seal, published)) return { state: 'useless' }
  return { state: (await isUntouched(folder, seal)) ? 'verified' : 'unsure', seal }
}

/** What tells a checkpoint that somebody else has looked up: these fields of its metadata. */
export type Wanted = Pick<CheckpointMetadata, 'window' | 'modelName' | 'weightsHash' | 'environment'>

/**
 * The checkpoint in a cached folder: of exactly these weights, as they were verified, and mined as the bucket said when it was
 * last asked. undefined when it is another one, would have to be read again, or nobody noted what the bucket said.
 */
export async function asVerified(folder: string, wanted: Wanted, profile: Profile): Promise<Checkpoint | undefined> {
  const seal = await readSeal(folder)
  if (!seal || wanted.weightsHash === '' || seal.weightsHash !== wanted.weightsHash) return undefined
  if (seal.window !== wanted.window || !(await isUntouched(folder, seal))) return undefined
  const metadata = await readDescription(folder, profile)
  if (metadata?.window !== wanted.window || metadata.weightsHash !== wanted.weightsHash) return undefined
  if (metadata.modelName !== wanted.modelName || metadata.environment !== wanted.environment) return undefined
  return { folder, metadata, weightsHash: seal.weightsHash }
}

/** Reads a cached checkpoint's files again. Returns what is damaged, undefined when nothing is. */
export async function checkAgain(folder: string, signal: AbortSignal): Promise<string | undefined> {
  const seal = await readSeal(folder)
  return seal ? recheck(folder, seal, signal) : 'it has no seal'
}

/**
 * Is what was verified the checkpoint that is published now? A trainer that starts over uses its windows again. Of one that
 * is no longer published nothing is known: what is built on it shows.
 */
function isSame(seal: Seal, { window, full, delta }: PublishedCheckpoint): boolean {
  if (seal.window !== window) return false
  const hash = delta?.files.weightsHash || full?.files.weightsHash
  if (hash) return seal.weightsHash === hash.toLowerCase()
  if (!full) return delta === undefined
  return [...full.files.manifest].every(
    ([path, sha256]) => seal.files[path]?.digest === `sha256:${sha256.toLowerCase()}`,
  )
}

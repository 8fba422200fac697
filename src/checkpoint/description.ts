import { randomUUID } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Profile } from '../protocol/profile.js'
import { ifPresent } from './disk.js'
import type { CheckpointMetadata } from './metadata.js'
import type { PublishedCheckpoint } from './published.js'
import { CheckpointMetadataError, parseCheckpointMetadata } from './record.js'

/**
 * Name of the file in a cached checkpoint's folder that says what is mined with it: metadata.json of the form validators
 * read, as the bucket had it when the checkpoint was last asked for. The folder's own metadata.json is of the form its files
 * were made from, and of the time they were made.
 */
export const DESCRIPTION_FILE = '.published.json'

/** Notes what the bucket says now. Several processes may do so at once. Throws errors of the file system. */
export async function writeDescription(folder: string, { delta, full }: PublishedCheckpoint): Promise<void> {
  const preferred = delta ?? full
  if (!preferred) return
  const path = join(folder, DESCRIPTION_FILE)
  const text = `${JSON.stringify(preferred.json)}\n`
  if ((await ifPresent(readFile(path, 'utf8'))) === text) return
  const draft = `${path}.${randomUUID()}`
  try {
    await writeFile(draft, text)
    await rename(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
}

/** What the bucket last said; undefined where nobody noted it, or the profile refuses it. */
export async function readDescription(folder: string, profile: Profile): Promise<CheckpointMetadata | undefined> {
  const text = await ifPresent(readFile(join(folder, DESCRIPTION_FILE), 'utf8'))
  try {
    return text === undefined ? undefined : parseCheckpointMetadata(JSON.parse(text), profile)
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof CheckpointMetadataError) return undefined
    throw error
  }
}

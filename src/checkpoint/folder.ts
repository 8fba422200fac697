import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Profile } from '../protocol/profile.js'
import type { Checkpoint } from './metadata.js'
import { CheckpointMetadataError, parseCheckpointMetadata } from './record.js'

/**
 * The checkpoint in a local folder, by its metadata.json, or a sentence that says why nothing can be mined with it now:
 * no such file, half-written, or metadata the protocol refuses. Other read errors are thrown.
 */
export async function readCheckpoint(folder: string, profile: Profile): Promise<Checkpoint | string> {
  const path = join(folder, 'metadata.json')
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return `there is no checkpoint: ${path} does not exist`
    throw error
  }
  try {
    return { metadata: parseCheckpointMetadata(JSON.parse(text), profile), folder }
  } catch (error) {
    if (error instanceof SyntaxError) return `${path} is not JSON: ${error.message}`
    if (error instanceof CheckpointMetadataError) return `${path}: ${error.message}`
    throw error
  }
}

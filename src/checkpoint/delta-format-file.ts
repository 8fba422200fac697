import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { Profile } from '../protocol/profile.js'
import { CheckpointError } from './checkpoint-error.js'
import { DELTA_FORMATS, type DeltaVersion } from './delta-format.js'

/** Files of a DELTA form (one-covenant/grail grail/infrastructure/checkpoint_consumer.py, 54d6342). */
export const DELTA_METADATA_FILE = 'delta_metadata.json'
export const DELTA_WEIGHTS_FILE = 'delta_sparse.bin.zst'

const metadata = z.object({ format: z.string() })

/**
 * The format version that delta_metadata.json declares.
 * @param window for the error
 * @throws CheckpointError 'malformed' when the profile or this build does not know the format
 */
export async function readDeltaFormat(path: string, window: number, profile: Profile): Promise<DeltaVersion> {
  const refuse = (why: string) =>
    new CheckpointError('malformed', `${DELTA_METADATA_FILE} of checkpoint ${window} ${why}`, 'never')
  let json: unknown
  try {
    json = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw error instanceof SyntaxError ? refuse('is not JSON') : error
  }
  const parsed = metadata.safeParse(json)
  const format = parsed.success ? parsed.data.format : undefined
  const version = format !== undefined && Object.hasOwn(DELTA_FORMATS, format) ? DELTA_FORMATS[format] : undefined
  if (version === undefined || !profile.deltaFormats.includes(format!))
    throw refuse(
      `says format ${JSON.stringify(format ?? null)}; this build reads ${profile.deltaFormats.filter(name => Object.hasOwn(DELTA_FORMATS, name)).join(', ') || 'none'} for ${profile.id}`,
    )
  return version
}

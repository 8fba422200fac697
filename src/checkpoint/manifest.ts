import { CheckpointError } from './checkpoint-error.js'
import { DESCRIPTION_FILE } from './description.js'
import { SEAL_FILE } from './seal.js'

/** Most files of a checkpoint: a model has some hundred shards at most. */
const MAX_FILES = 4_096
/** Longest name of a file or folder, bytes: the limit of the usual file systems, less room for our own endings. */
const MAX_NAME_BYTES = 200
/** Deepest nesting: publishers use none. */
const MAX_DEPTH = 8

/** Names in a checkpoint's folder that are written by whoever puts it together, never fetched by its manifest. */
const OWN_FILES: ReadonlySet<string> = new Set(['metadata.json', SEAL_FILE, DESCRIPTION_FILE])

/**
 * Refuses a manifest with a file that would land outside the checkpoint's folder, be taken for one of our own, or be a
 * file and a folder at once. Whoever can write to the trainer's bucket must not write anywhere else on the host.
 * @throws CheckpointError 'unsafe-path'
 */
export function checkManifest(manifest: ReadonlyMap<string, string>): void {
  if (manifest.size > MAX_FILES)
    throw new CheckpointError('unsafe-path', `the manifest names ${manifest.size} files; at most ${MAX_FILES}`, 'never')
  const folders = new Set<string>()
  for (const path of manifest.keys()) {
    const fault = pathFault(path)
    if (fault)
      throw new CheckpointError(
        'unsafe-path',
        `the manifest names ${JSON.stringify(path.slice(0, 100))}, which is refused: ${fault}`,
        'never',
      )
    const parts = path.split('/')
    for (let i = 1; i < parts.length; i++) folders.add(parts.slice(0, i).join('/'))
  }
  for (const path of manifest.keys())
    if (folders.has(path))
      throw new CheckpointError(
        'unsafe-path',
        `the manifest has ${JSON.stringify(path)} as file and as folder`,
        'never',
      )
}

function pathFault(path: string): string | undefined {
  if (path === '') return 'it is empty'
  if (path.startsWith('/')) return 'it is absolute'
  if (OWN_FILES.has(path)) return 'that file is written by the reader'
  if (/\p{Surrogate}/u.test(path)) return 'it is not well-formed Unicode'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u001f\u007f\\]/.test(path)) return 'it has a control character or a backslash'
  const parts = path.split('/')
  if (parts.length > MAX_DEPTH) return `it lies deeper than ${MAX_DEPTH} folders`
  for (const part of parts) {
    if (part === '') return "it has '//' or ends with '/'"
    if (part === '.' || part === '..') return `it has '${part}' between slashes`
    if (Buffer.byteLength(part) > MAX_NAME_BYTES) return `a name in it is longer than ${MAX_NAME_BYTES} bytes`
  }
  return undefined
}

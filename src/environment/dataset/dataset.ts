import { join } from 'node:path'
import { packageRoot } from '../../package-root.js'
import { downloadPart } from './hub.js'
import { locatePart } from './locate.js'
import { checkAgainstLock } from './lock.js'
import { DatasetError, type DatasetPart, partName } from './part.js'
import { readRows } from './rows.js'

export interface DatasetPlaces {
  /** Folder with the data set's files; without it the hub's copy is taken. */
  datasetFolder?: string | undefined
  /** Where checksums are recorded and the hub's files are kept. */
  stateFolder: string
  /** Base URL of the hub, without a trailing slash. */
  hub?: string | undefined
}

export const HUGGING_FACE = 'https://huggingface.co'

/**
 * The rows of a part, in the data set's own order: from the given folder, else from files fetched before, else from the
 * hub. Compared with the record of the first use.
 * @throws DatasetError when a given folder lacks the part, the hub cannot be reached, or the rows changed
 */
export async function loadPart<Row>(
  part: DatasetPart<Row>,
  { datasetFolder, stateFolder, hub = HUGGING_FACE }: DatasetPlaces,
  signal: AbortSignal,
): Promise<Row[]> {
  const files = datasetFolder
    ? await filesIn(datasetFolder, part)
    : await downloadPart(part, { hub, cacheFolder: join(stateFolder, 'hub'), signal })
  const rows = await readRows(part, files)
  if (rows.length === 0) throw new DatasetError(`${partName(part)} has no rows in ${files.join(', ')}`)
  await checkAgainstLock(part, rows, stateFolder)
  return rows
}

async function filesIn(folder: string, part: DatasetPart<unknown>): Promise<string[]> {
  const files = await locatePart(folder, part)
  if (files.length > 0) return files
  const expected = [part.config, `${part.split}-00000-of-00001.parquet`].filter(Boolean).join('/')
  throw new DatasetError(
    `${partName(part)}: nothing of it in ${folder}. Put a snapshot of https://huggingface.co/datasets/${part.repository} there ` +
      `(${expected}), or ${part.split}.jsonl or ${part.split}.jsonl.gz with one row a line; or name no folder to have it fetched`,
    { absent: true },
  )
}

/** Folder with the test questions of GSM8K (MIT) that come with the program, for rehearsals with split=test and no network. */
export function bundledGsm8kFolder(): string {
  return join(packageRoot, 'src', 'environment', 'data', 'gsm8k')
}

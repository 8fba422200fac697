import { createHash, randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { DatasetError, type DatasetPart, partName } from './part.js'

const lockSchema = z.object({ rows: z.int(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })

/**
 * Records row count and checksum of a part on first use in `<stateFolder>/datasets`, and compares them ever after. The
 * checksum is over the fields that problems are made of, so the same rows from Parquet and from jsonl agree. Several
 * processes may do this at once.
 * @throws DatasetError when the rows are not those of the first use, or the record cannot be read or written
 */
export async function checkAgainstLock(
  part: DatasetPart<unknown>,
  rows: readonly unknown[],
  stateFolder: string,
): Promise<void> {
  const sha256 = createHash('sha256')
  for (const row of rows) sha256.update(`${JSON.stringify(row)}\n`)
  const found = { rows: rows.length, sha256: sha256.digest('hex') }
  const folder = join(stateFolder, 'datasets')
  const file = join(folder, `${partName(part).replaceAll('/', '--').replaceAll(' ', '.')}.json`)
  const recorded = (await readLock(file)) ?? (await writeLock(folder, file, found))
  if (recorded.rows === found.rows && recorded.sha256 === found.sha256) return
  throw new DatasetError(
    `${partName(part)} is not the data set that was used before: ${describe(found)}, but ${file} records ${describe(recorded)}. ` +
      'Miners and validators must derive the same problems. If validators moved to the new rows, delete that file',
  )
}

const describe = ({ rows, sha256 }: z.infer<typeof lockSchema>) => `${rows} rows with sha256 ${sha256.slice(0, 12)}…`

async function readLock(file: string) {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined
    throw new DatasetError(`the record ${file} cannot be read: ${cause.message}`, { cause })
  })
  if (text === undefined) return undefined
  try {
    return lockSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new DatasetError(`the record ${file} is damaged: delete it to have it written anew`, { cause })
  }
}

/** Creates the record in one step; when another process was faster, its record counts. */
async function writeLock(folder: string, file: string, found: z.infer<typeof lockSchema>) {
  const draft = join(folder, `.${randomUUID()}`)
  try {
    await mkdir(folder, { recursive: true })
    await writeFile(draft, `${JSON.stringify(found)}\n`)
    await link(draft, file)
    return found
  } catch (cause) {
    const recorded = (cause as NodeJS.ErrnoException).code === 'EEXIST' ? await readLock(file) : undefined
    if (recorded) return recorded
    throw new DatasetError(`the record ${file} cannot be written: ${(cause as Error).message}`, { cause })
  } finally {
    await rm(draft, { force: true })
  }
}

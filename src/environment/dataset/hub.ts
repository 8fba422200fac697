import { join } from 'node:path'
import { z } from 'zod'
import { answer, attempt } from './attempt.js'
import { fetchFile } from './fetch-file.js'
import { filesOfPart, locatePart } from './locate.js'
import { DatasetError, type DatasetPart, partName } from './part.js'

/** Bytes of one file that are taken at most: the largest shard of these data sets has a few MB. */
const MAX_FILE_BYTES = 2 * 1024 ** 3

const listing = z.array(
  z.looseObject({
    type: z.string(),
    path: z.string(),
    size: z.int().nonnegative(),
    lfs: z.looseObject({ oid: z.string() }).nullish(),
  }),
)
type Listed = z.output<typeof listing>[number]

interface HubOptions {
  /** Base URL. */
  hub: string
  cacheFolder: string
  signal: AbortSignal
}

/**
 * Local paths of a part's files, fetched from the hub's `main` revision when they are not yet in the cache.
 * @throws DatasetError when the hub does not answer or has no such part
 */
export async function downloadPart(part: DatasetPart<unknown>, options: HubOptions): Promise<string[]> {
  const { hub, signal } = options
  const folder = join(options.cacheFolder, part.repository.replaceAll('/', '--'))
  const here = await locatePart(folder, part)
  if (here.length > 0 && isWhole(here)) return here
  try {
    const listed = await listFiles(part.repository, options)
    const paths = filesOfPart([...listed.keys()], part)
    if (paths.length === 0)
      throw new DatasetError(`the repository ${part.repository} of ${hub} has no file of ${partName(part)}`, {
        absent: true,
      })
    for (const path of paths) {
      const { size, lfs } = listed.get(path)!
      if (size > MAX_FILE_BYTES) throw new Error(`${path} has ${size} bytes`)
      const url = `${hub}/datasets/${part.repository}/resolve/main/${path.split('/').map(encodeURIComponent).join('/')}`
      await fetchFile({ url, size, sha256: lfs?.oid }, join(folder, path), signal)
    }
    return paths.map(path => join(folder, path))
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof DatasetError) throw cause
    throw new DatasetError(
      `${partName(part)} cannot be fetched from ${hub}: ${(cause as Error).message}. On a machine without a way to the hub, ` +
        'copy a snapshot of the repository there and name it as the data set folder',
      { cause },
    )
  }
}

/** Are all shards there that the names promise (…-of-00002)? */
function isWhole(files: readonly string[]): boolean {
  const shards = /-of-(\d+)/.exec(files[0]!)
  return !shards || Number(shards[1]) === files.length
}

/** Files of a repository by path. Paths that lead out of it are left out. */
async function listFiles(repository: string, { hub, signal }: HubOptions): Promise<Map<string, Listed>> {
  const url = `${hub}/api/datasets/${repository}/tree/main?recursive=true`
  const text = await attempt(signal, async silence => await (await answer(url, {}, silence.signal)).text())
  const files = listing
    .parse(JSON.parse(text))
    .filter(({ type, path }) => type === 'file' && !path.split('/').includes('..'))
  return new Map(files.map(file => [file.path, file]))
}

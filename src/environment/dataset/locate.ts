import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatasetPart } from './part.js'

/** Does `name` hold the rows of `split` (or one shard of them)? Parquet as the hub stores it, jsonl as published elsewhere. */
function holdsSplit(name: string, split: string): boolean {
  if (!name.startsWith(split)) return false
  const rest = name.slice(split.length)
  return /^(-\d+-of-\d+(-[0-9a-f]+)?)?\.parquet$/.test(rest) || /^\.jsonl(\.gz)?$/.test(rest)
}

/**
 * Files of a part among `paths` (relative to the data set's root, `/` between folders), shards in order. Empty when there
 * are none. Tried in turn: the configuration's folder, `data`, the root, then the part's aliases; within one folder
 * Parquet goes before jsonl.
 */
export function filesOfPart(paths: readonly string[], part: DatasetPart<unknown>): string[] {
  for (const folder of new Set([part.config, 'data', ''])) {
    const prefix = folder === '' ? '' : `${folder}/`
    const here = paths.filter(path => path.startsWith(prefix) && holdsSplit(path.slice(prefix.length), part.split))
    const parquet = here.filter(path => path.endsWith('.parquet')).sort()
    if (parquet.length > 0) return parquet
    if (here.length > 0) return [here.sort()[0]!]
  }
  const alias = part.aliases?.find(name => paths.includes(name))
  return alias === undefined ? [] : [alias]
}

/**
 * Absolute paths of a part's files below a local folder, or an empty list. The folder may be a snapshot of the hub's
 * repository, one with jsonl files, an entry of the hub's cache (datasets--owner--name) or the cache itself, or hold such
 * a folder under the repository's name (owner/name or name).
 */
export async function locatePart(folder: string, part: DatasetPart<unknown>): Promise<string[]> {
  for (const root of await rootsOf(folder, part.repository)) {
    const files = filesOfPart(await shallowListing(root, part.config), part)
    if (files.length > 0) return files.map(file => join(root, file))
  }
  return []
}

/** Where a repository's files may start: in a folder of its name first, so that one folder can serve every environment. */
async function rootsOf(folder: string, repository: string): Promise<string[]> {
  const name = repository.split('/').at(-1)!
  const entries = [`datasets--${repository.replace('/', '--')}`, repository, name, '']
  const roots: string[] = []
  for (const entry of entries.map(path => join(folder, path))) {
    const revision = await readFile(join(entry, 'refs', 'main'), 'utf8').catch(() => undefined)
    if (revision !== undefined) roots.push(join(entry, 'snapshots', revision.trim()))
    roots.push(entry)
  }
  return roots
}

/** Names in the root, in `data` and in the configuration's folder: no part lies deeper. */
async function shallowListing(root: string, config: string): Promise<string[]> {
  const listed: string[] = []
  for (const folder of new Set(['', 'data', config])) {
    const names = await readdir(join(root, folder)).catch(() => [] as string[])
    listed.push(...names.map(name => (folder === '' ? name : `${folder}/${name}`)))
  }
  return listed
}

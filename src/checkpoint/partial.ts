import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ifPresent } from './disk.js'
import { isAlive, type ProcessIdentity } from './process-identity.js'

/** Ending of folders that are on their way out: whoever sees one may remove it. */
const REMOVED = '.removed'

/** A folder of another container whose process cannot be seen counts as left behind when it was untouched for this long, ms. */
const UNSEEN_MS = 30 * 60_000

/** Owner of what was given up. */
const NOBODY: ProcessIdentity = { pid: 0, started: '', boot: '', pidNamespace: '' }

/** A checkpoint on its way: its folder is named after the process that writes into it. */
interface PartialFolder {
  name: string
  window: number
  owner: ProcessIdentity
}

/** Folder of a finished checkpoint. */
export function cachedFolder(cache: string, window: number): string {
  return join(cache, `checkpoint-${window}`)
}

/** Window of a finished checkpoint's folder by its name; undefined for any other name. */
export function windowOfFolder(name: string): number | undefined {
  const window = /^checkpoint-(0|[1-9]\d*)$/.exec(name)?.[1]
  return window === undefined ? undefined : Number(window)
}

/**
 * A folder to put a checkpoint together in, of this process' own: what a dead process left of the same checkpoint if there is
 * any, so that its download goes on, else a new one.
 */
export async function claimPartial(cache: string, window: number, me: ProcessIdentity, nowMs: number): Promise<string> {
  const mine = join(cache, partialName(window, me))
  for (const { name } of (await abandoned(cache, me, nowMs)).filter(other => other.window === window)) {
    // By its new name it is ours; who comes second finds the old name gone.
    if (await ifPresent(rename(join(cache, name), mine).then(() => true))) return mine
  }
  await mkdir(mine, { recursive: true })
  return mine
}

/** Gives a partial folder up, so that the next attempt, here or in another process, goes on with it. */
export async function releasePartial(folder: string): Promise<void> {
  const partial = parsePartial(basename(folder))
  if (partial) await ifPresent(rename(folder, join(dirname(folder), partialName(partial.window, NOBODY))))
}

/** Removes what dead processes left, but for one window's, and what was to be removed when a process died. */
export async function removeAbandoned(
  cache: string,
  me: ProcessIdentity,
  nowMs: number,
  except?: number,
): Promise<void> {
  for (const { name, window } of await abandoned(cache, me, nowMs))
    if (window !== except) await discard(join(cache, name))
  for (const name of await readdir(cache))
    if (name.endsWith(REMOVED)) await rm(join(cache, name), { recursive: true, force: true })
}

/** Removes a folder: it is gone under its name at once, and no crash leaves half of it there. */
export async function discard(folder: string): Promise<void> {
  const going = `${folder}.${randomUUID()}${REMOVED}`
  if (await ifPresent(rename(folder, going).then(() => true))) await rm(going, { recursive: true, force: true })
}

async function abandoned(cache: string, me: ProcessIdentity, nowMs: number): Promise<PartialFolder[]> {
  const left: PartialFolder[] = []
  for (const name of await readdir(cache)) {
    const partial = parsePartial(name)
    if (!partial) continue
    const alive = partial.owner.pid !== NOBODY.pid && (await isAlive(partial.owner, me))
    const touchedMs = (await ifPresent(stat(join(cache, name))))?.mtimeMs ?? nowMs
    if (alive === false || (alive === 'unknown' && nowMs - touchedMs > UNSEEN_MS)) left.push(partial)
  }
  return left
}

function partialName(window: number, { pid, started, boot, pidNamespace }: ProcessIdentity): string {
  return `checkpoint-${window}.${pid}-${started}-${boot}-${pidNamespace}.${randomUUID()}.partial`
}

function parsePartial(name: string): PartialFolder | undefined {
  const parts = /^checkpoint-(\d+)\.(\d+)-(\d*)-([0-9a-f]*)-(\d*)\.[0-9a-f-]{36}\.partial$/.exec(name)
  if (!parts) return undefined
  const [, window, pid, started = '', boot = '', pidNamespace = ''] = parts
  return { name, window: Number(window), owner: { pid: Number(pid), started, boot, pidNamespace } }
}

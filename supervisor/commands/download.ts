import { mkdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Bucket, BucketError, type ObjectFacts } from '../../src/bucket/bucket.js'
import { download } from '../../src/bucket/download.js'
import { withRetry } from '../../src/bucket/retry.js'
import { readAddress } from '../../src/wallet/address.js'
import {
  hotkeyPrefix,
  objectKey,
  parseObjectKey,
  shadowKey,
  sizeFault,
  WINDOW_PREFIX,
} from '../../src/window/object.js'
import { loadConfig, pathFrom } from '../config/load.js'
import { bucketOf } from '../from-inventory.js'
import { untilStopped } from '../shutdown.js'
import type { CommandIo } from './io.js'

const USAGE = `usage: grail download [--hotkey SS58] [--list | --window W ... | --latest N] [--output DIR] [--config grail.toml]

Lists window files, or fetches them and prints their paths; without --window and --latest the newest one. The hotkey is the
one of the configured wallet unless another is given. A fetch that was cut off is gone on with by the same command.`

/** A list is tried for this long, ms. */
const LIST_MS = 60_000

/** What `grail download` works with: the composed bucket, and the configured hotkey if there is a wallet. */
export interface DownloadIo extends Pick<CommandIo, 'out' | 'err'> {
  bucket: Bucket
  hotkey?: string
  signal: AbortSignal
  /** Unix ms. */
  now(): number
  /** In [0, 1). */
  random(): number
}

interface Options {
  hotkey: string | undefined
  list: boolean
  windows: number[]
  latest: number
  output: string
  config: string
}

/** A window file as the bucket lists it. */
interface WindowFile extends ObjectFacts {
  hotkey: string
  window: number
}

/** Something the caller can put right, said in one line. */
class Refusal extends Error {}

/**
 * `grail download` with the bucket and wallet of the inventory.
 * @param args what follows `grail download`
 * @returns the exit code: 0 done, 1 not (all) done, 2 wrong use
 */
export async function downloadCommand(args: string[], io: CommandIo): Promise<number> {
  if (args.includes('--help')) {
    io.out(USAGE)
    return 0
  }
  const options = parseOrExplain(args, io)
  if (!options) return 2
  const loaded = loadConfig(options.config, io.env)
  const { path, cold, hot } = loaded.config.wallet
  const hotkey = await readAddress({ path: pathFrom(loaded.folder, path), cold, hot })
  const bucket = await bucketOf(loaded)
  const rest = { bucket, signal: untilStopped(), now: Date.now, random: Math.random }
  try {
    return await downloadFrom(args, { ...io, ...rest, ...(hotkey === undefined ? {} : { hotkey }) })
  } finally {
    bucket.close()
  }
}

/**
 * Lists the window files of a hotkey, or fetches some of them. Prints the path of every file it fetched; progress and
 * remarks go to standard error.
 * @param args what follows `grail download`
 * @returns the exit code: 0 done, 1 not (all) done, 2 wrong use
 */
export async function downloadFrom(args: string[], io: DownloadIo): Promise<number> {
  const options = parseOrExplain(args, io, io.hotkey)
  if (!options) return 2
  try {
    if (options.list) await list(options, io)
    else await fetch(options, io)
    return 0
  } catch (error) {
    if (!(error instanceof Refusal) && !(error instanceof BucketError) && !(error instanceof Error && 'code' in error))
      throw error
    io.err(`grail download: ${error.message}`)
    return 1
  }
}

async function list(options: Options, io: DownloadIo): Promise<void> {
  const prefix = options.hotkey === undefined ? WINDOW_PREFIX : hotkeyPrefix(options.hotkey)
  const { files, shadows } = await windowFiles(prefix, io)
  for (const { window, bytes, lastModifiedMs, hotkey } of files)
    io.out([window, new Date(lastModifiedMs).toISOString().replace('.000Z', 'Z'), bytes, hotkey].join('\t'))
  for (const file of files) remark(file, shadows, io)
  if (files.length === 0) io.err(`there are no window files ${ofHotkey(options.hotkey)} in ${io.bucket.place}`)
}

async function fetch(options: Options, io: DownloadIo): Promise<void> {
  if (options.hotkey === undefined) throw new Refusal('whose files? give --hotkey SS58, or configure a wallet')
  const { files, shadows } = await windowFiles(hotkeyPrefix(options.hotkey), io)
  const byWindow = new Map(files.map(file => [file.window, file]))
  const chosen = options.windows.length > 0 ? options.windows : files.slice(-options.latest).map(file => file.window)
  if (chosen.length === 0)
    throw new Refusal(`there are no window files ${ofHotkey(options.hotkey)} in ${io.bucket.place}`)
  const absent = chosen.filter(window => !byWindow.has(window))
  const folder = resolve(options.output)
  await mkdir(folder, { recursive: true })
  for (const window of chosen) {
    const file = byWindow.get(window)
    if (!file) continue
    remark(file, shadows, io)
    await fetchOne(file, join(folder, basename(file.key)), io)
  }
  if (absent.length > 0)
    throw new Refusal(
      `there is no file of window ${absent.join(', ')} ${ofHotkey(options.hotkey)} in ${io.bucket.place}`,
    )
}

async function fetchOne(file: WindowFile, path: string, io: DownloadIo): Promise<void> {
  let tenths = -1
  const { checked, fetched } = await download(io.bucket, file.key, path, {
    ...io,
    onProgress(done, total) {
      const now = total === 0 ? 10 : Math.floor((done / total) * 10)
      if (now === tenths) return
      tenths = now
      io.err(`window ${file.window}: ${now * 10} % of ${mib(total)}`)
    },
  })
  if (fetched === 0) io.err(`window ${file.window}: already there`)
  if (checked === 'size')
    io.err(`window ${file.window}: only its size could be checked, its etag is of an unknown part size`)
  io.out(path)
}

/** All window files under a prefix, oldest window first, and the keys that would be read in place of one. */
async function windowFiles(prefix: string, io: DownloadIo): Promise<{ files: WindowFile[]; shadows: Set<string> }> {
  const listed = await withRetry(
    async signal => {
      const all: ObjectFacts[] = []
      for await (const facts of io.bucket.list(prefix, signal)) all.push(facts)
      return all
    },
    { ...io, deadlineMs: io.now() + LIST_MS },
  )
  const files: WindowFile[] = []
  for (const facts of listed) {
    const named = parseObjectKey(facts.key)
    if (named) files.push({ ...facts, ...named })
  }
  files.sort((a, b) => a.window - b.window || (a.hotkey < b.hotkey ? -1 : 1))
  return { files, shadows: new Set(listed.map(facts => facts.key).filter(key => key.endsWith('.gz'))) }
}

/** What validators would make of it. */
function remark(file: WindowFile, shadows: Set<string>, io: DownloadIo): void {
  const fault = sizeFault(file.bytes)
  if (fault) io.err(`window ${file.window}: ${fault}`)
  const shadow = shadowKey(file.key)
  if (shadows.has(shadow)) io.err(`window ${file.window}: validators read ${shadow} instead: remove it`)
}

function parseOrExplain(args: string[], io: Pick<CommandIo, 'err'>, configured?: string): Options | undefined {
  try {
    return parse(args, configured)
  } catch (error) {
    io.err(`grail download: ${(error as Error).message}`)
    io.err(USAGE)
    return undefined
  }
}

function parse(args: string[], configured: string | undefined): Options {
  const string = { type: 'string' } as const
  const { values } = parseArgs({
    args,
    options: {
      hotkey: string,
      list: { type: 'boolean', default: false },
      window: { type: 'string', multiple: true, default: [] },
      latest: string,
      output: { type: 'string', default: '.' },
      config: { type: 'string', default: 'grail.toml' },
    },
  })
  if ([values.list, values.window.length > 0, values.latest !== undefined].filter(Boolean).length > 1)
    throw new Error('--list, --window and --latest exclude each other')
  const hotkey = values.hotkey ?? configured
  const windows = [...new Set(values.window.map(text => whole(text, 'window')))]
  // Says what is wrong with a hotkey or a window before the bucket is asked.
  for (const window of windows.length > 0 ? windows : [0]) if (hotkey !== undefined) objectKey(hotkey, window)
  const latest = values.latest === undefined ? 1 : whole(values.latest, 'latest')
  if (latest === 0) throw new Error('--latest 0 fetches nothing')
  return { hotkey, list: values.list, windows, latest, output: values.output, config: values.config }
}

function whole(text: string, option: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new Error(`--${option} takes a whole number, not '${text}'`)
  return Number(text)
}

function ofHotkey(hotkey: string | undefined): string {
  return hotkey === undefined ? 'of any hotkey' : `of ${hotkey}`
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

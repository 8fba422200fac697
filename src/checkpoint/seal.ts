import { randomUUID } from 'node:crypto'
import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { filesBelow, ifPresent } from './disk.js'
import { DIGEST_KINDS, type Digest, type DigestKind, digestOfFile } from './file-digest.js'
import { bootId } from './process-identity.js'
import { isWeightFile } from './safetensors.js'

/** Name of the file in a cached checkpoint's folder that says what was verified. */
export const SEAL_FILE = '.verified.json'

const file = z.object({
  bytes: z.int().nonnegative(),
  digest: z.templateLiteral([z.enum(DIGEST_KINDS), ':', z.string()]),
  /** What the file system says of an untouched file: a write, even of the same bytes, changes it. */
  tag: z.string(),
})
const seal = z.object({
  window: z.int().nonnegative(),
  /** Of the weights in the folder, computed here; '' without weights. */
  weightsHash: z.string(),
  /** Boot in which the tags were taken: what the disk kept of unwritten pages after a crash is not known. */
  boot: z.string(),
  files: z.record(z.string(), file),
})

/** What was verified of a checkpoint's folder, and what tells that it is still so. */
export type Seal = z.infer<typeof seal>

/**
 * Records that a folder's files have these digests. From then on a look at the files' dates tells whether they are the same.
 * @param digests of every file by its path below the folder
 */
export async function writeSeal(
  folder: string,
  { window, weightsHash, digests }: { window: number; weightsHash: string; digests: ReadonlyMap<string, Digest> },
): Promise<Seal> {
  const files: Seal['files'] = {}
  for (const [path, digest] of digests) files[path] = { digest, ...(await factsOf(join(folder, path))) }
  const written: Seal = { window, weightsHash, boot: await bootId(), files }
  const draft = join(folder, `${SEAL_FILE}.${randomUUID()}`)
  try {
    await writeFile(draft, `${JSON.stringify(written, null, 1)}\n`)
    await rename(draft, join(folder, SEAL_FILE))
  } finally {
    await rm(draft, { force: true })
  }
  return written
}

/** The seal of a folder; undefined when there is none, or none that can be read. */
export async function readSeal(folder: string): Promise<Seal | undefined> {
  const text = await ifPresent(readFile(join(folder, SEAL_FILE), 'utf8'))
  try {
    return text === undefined ? undefined : seal.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** Are the files still those that were verified, as far as their dates tell? After a restart of the host nothing is known. */
export async function isUntouched(folder: string, found: Seal): Promise<boolean> {
  if (found.boot === '' || found.boot !== (await bootId())) return false
  for (const [path, { bytes, tag }] of Object.entries(found.files)) {
    const now = await ifPresent(factsOf(join(folder, path)))
    if (now?.bytes !== bytes || now.tag !== tag) return false
  }
  return !(await strangeWeights(folder, found))
}

/**
 * Reads every file again and renews the seal.
 * @returns what is damaged, undefined when nothing is
 */
export async function recheck(folder: string, found: Seal, signal: AbortSignal): Promise<string | undefined> {
  const strange = await strangeWeights(folder, found)
  if (strange) return `${strange} is no file of it`
  const digests = new Map<string, Digest>()
  for (const [path, { digest }] of Object.entries(found.files)) {
    const now = await ifPresent(digestOfFile(join(folder, path), kindOf(digest), signal))
    if (now !== digest) return now === undefined ? `${path} is gone` : `${path} is damaged`
    digests.set(path, digest)
  }
  await writeSeal(folder, { ...found, digests })
  return undefined
}

/** Notes that a checkpoint is in use: what was used last goes last. */
export async function touchSeal(folder: string, nowMs: number): Promise<void> {
  await ifPresent(utimes(join(folder, SEAL_FILE), nowMs / 1000, nowMs / 1000))
}

/** When a sealed checkpoint was used last, unix ms; of one without a seal, when it was made. */
export async function lastUsedMs(folder: string): Promise<number | undefined> {
  return ((await ifPresent(stat(join(folder, SEAL_FILE)))) ?? (await ifPresent(stat(folder))))?.mtimeMs
}

/** Bytes of a sealed checkpoint's files. */
export function sealedBytes({ files }: Seal): number {
  return Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0)
}

/** A file of weights that was not verified: every reader of the folder would load it. */
async function strangeWeights(folder: string, found: Seal): Promise<string | undefined> {
  return (await filesBelow(folder)).find(path => isWeightFile(path) && !Object.hasOwn(found.files, path))
}

async function factsOf(path: string): Promise<{ bytes: number; tag: string }> {
  const { ino, ctimeNs, size } = await stat(path, { bigint: true })
  return { bytes: Number(size), tag: `${ino}-${ctimeNs}` }
}

function kindOf(digest: Digest): DigestKind {
  return DIGEST_KINDS.find(kind => digest.startsWith(`${kind}:`))!
}

import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { Checkpoint } from '../../checkpoint/metadata.js'
import { EngineError } from '../engine.js'

/** What a server is pointed at in place of the checkpoint's own folder. */
export interface ServingFolder {
  folder: string
  /** Id of the tokenizer's EOS, the only id that may end a completion. */
  eosTokenId: number
  /** Longest sequence the model takes, in tokens. */
  maxPositions: number
}

type Json = Record<string, unknown>

async function readJson(file: string): Promise<Json> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Json
  } catch (cause) {
    throw new EngineError(`${file} cannot be read as JSON: is its folder a checkpoint with weights?`, 'never', {
      cause,
    })
  }
}

function idOf(token: string, tokenizer: Json, folder: string): number {
  const added = (tokenizer.added_tokens ?? []) as { content: string; id: number }[]
  const model = (tokenizer.model ?? {}) as { vocab?: unknown }
  const id =
    added.find(({ content }) => content === token)?.id ?? (model.vocab as Record<string, number> | undefined)?.[token]
  if (typeof id !== 'number')
    throw new EngineError(`${folder}: eos_token ${JSON.stringify(token)} is not in tokenizer.json`, 'never')
  return id
}

/**
 * Makes a folder of links to the checkpoint's files under `parent`, in which the model's own list of stop ids is
 * replaced by the tokenizer's EOS: servers also stop on what config.json and generation_config.json name, and a
 * completion that ends on another id fails the validator's termination check.
 */
export async function makeServingFolder(checkpoint: Checkpoint, parent: string): Promise<ServingFolder> {
  const source = resolve(checkpoint.folder)
  const [config, tokenizerConfig, tokenizer] = await Promise.all(
    ['config.json', 'tokenizer_config.json', 'tokenizer.json'].map(file => readJson(join(source, file))),
  )
  const eos = tokenizerConfig!.eos_token
  const token = typeof eos === 'string' ? eos : (eos as { content?: string } | undefined)?.content
  if (token === undefined) throw new EngineError(`${source}/tokenizer_config.json names no eos_token`, 'never')
  const eosTokenId = idOf(token, tokenizer!, source)
  const maxPositions = Number(config!.max_position_embeddings)
  if (!(maxPositions > 0)) throw new EngineError(`${source}/config.json has no max_position_embeddings`, 'never')

  const folder = join(parent, `${checkpoint.metadata.window}-${randomUUID()}`)
  await mkdir(folder, { recursive: true })
  const replaced = new Map([
    ['config.json', { ...config, eos_token_id: eosTokenId }],
    ['generation_config.json', { eos_token_id: [eosTokenId] }],
  ])
  for (const file of await readdir(source))
    if (!replaced.has(file)) await symlink(join(source, file), join(folder, file))
  for (const [file, content] of replaced) await writeFile(join(folder, file), `${JSON.stringify(content, null, 2)}\n`)
  return { folder, eosTokenId, maxPositions }
}

/** Lets `link` lead to `folder` from one moment to the next. */
export async function pointLink(link: string, folder: string): Promise<void> {
  const partial = `${link}.${randomUUID()}`
  await symlink(folder, partial)
  await rename(partial, link)
}

/** Removes the serving folders of other checkpoints; only links and two small files are in them. */
export async function removeOtherFolders(parent: string, keep: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => []))
    if (/^\d+-[0-9a-f-]{36}$/.test(name) && name !== basename(keep))
      await rm(join(parent, name), { recursive: true, force: true })
}

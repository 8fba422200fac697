import { randomUUID } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Checkpoint, CheckpointMetadata } from '../../checkpoint/metadata.js'

/** Files of a tokenizer folder that a checkpoint carries, where they exist. */
const TOKENIZER_FILES = new Set([
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'special_tokens_map.json',
  'generation_config.json',
])

export interface RehearsalCheckpoint {
  /** Where the checkpoint goes; created with its parents. */
  folder: string
  /** Folder with tokenizer.json and tokenizer_config.json (chat template inside or as chat_template.jinja). */
  tokenizerFolder: string
  /** Window of the checkpoint; default 0, before every window. */
  window?: number
  environment: string
  environmentParams?: CheckpointMetadata['environmentParams']
  generation: CheckpointMetadata['generation']
  thinkingMode: CheckpointMetadata['thinkingMode']
}

/**
 * Writes a checkpoint folder for rehearsals: the tokenizer's files and the metadata.json of a trainer's checkpoint
 * (one-covenant/grail grail/infrastructure/checkpoint_consumer.py:85-115, 54d6342), without weights. The folder appears
 * whole or not at all, also when several processes write it at once; an equal one is left as it is.
 * @throws Error when the folder holds another checkpoint or the tokenizer's files are missing
 */
export async function rehearsalCheckpoint(wanted: RehearsalCheckpoint): Promise<Checkpoint> {
  const metadata: CheckpointMetadata = {
    window: wanted.window ?? 0,
    modelName: 'rehearsal',
    weightsHash: '',
    environment: wanted.environment,
    environmentParams: wanted.environmentParams ?? {},
    generation: wanted.generation,
    thinkingMode: wanted.thinkingMode,
  }
  const checkpoint: Checkpoint = { metadata, folder: wanted.folder }
  const text = `${JSON.stringify(asTrainerWrites(metadata), null, 2)}\n`
  if (await holds(wanted.folder, text)) return checkpoint

  const partial = join(dirname(wanted.folder), `.${basename(wanted.folder)}.${process.pid}.${randomUUID()}.partial`)
  await mkdir(partial, { recursive: true })
  try {
    const files = (await readdir(wanted.tokenizerFolder)).filter(file => TOKENIZER_FILES.has(file))
    for (const needed of ['tokenizer.json', 'tokenizer_config.json'])
      if (!files.includes(needed))
        throw new Error(`${wanted.tokenizerFolder} has no ${needed}: is it a tokenizer folder?`)
    for (const file of files) await copyFile(join(wanted.tokenizerFolder, file), join(partial, file))
    await writeFile(join(partial, 'metadata.json'), text)
    await rename(partial, wanted.folder).catch(async (cause: unknown) => {
      // Another process was first, which is fine as long as it wrote the same.
      if (!(await holds(wanted.folder, text))) throw cause
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return checkpoint
}

async function holds(folder: string, text: string): Promise<boolean> {
  const found = await readFile(join(folder, 'metadata.json'), 'utf8').catch(() => undefined)
  if (found === undefined) return false
  if (found !== text) throw new Error(`${folder} holds another checkpoint: remove it, or name another folder`)
  return true
}

function asTrainerWrites(metadata: CheckpointMetadata): Record<string, unknown> {
  const { generation } = metadata
  return {
    window: metadata.window,
    file_manifest: {},
    training_config: {},
    git_commit: 'rehearsal',
    created_at: 0,
    model_name: metadata.modelName,
    parent_window: null,
    checkpoint_type: 'FULL',
    prev_window: null,
    anchor_window: null,
    weights_hash: null,
    env_id: metadata.environment,
    env_params: metadata.environmentParams,
    generation_params: {
      max_tokens: generation.maxTokens,
      temperature: generation.temperature,
      top_p: generation.topP,
      top_k: generation.topK,
      repetition_penalty: generation.repetitionPenalty,
    },
    thinking_mode: metadata.thinkingMode,
  }
}

import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { readCheckpoint } from '../../src/checkpoint/folder.js'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import { type EngineName, openEngine } from '../../src/engine/index.js'
import { openEnvironment } from '../../src/environment/index.js'
import { loadTokenizer, type Tokenizer } from '../../src/environment/tokenizer.js'
import { packageRoot } from '../../src/package-root.js'
import type { Profile } from '../../src/protocol/profile.js'
import type { VerifySignature } from '../../src/protocol/signatures.js'
import type { JudgeOptions } from '../../src/validation/index.js'
import { CannotJudge } from '../../src/validation/index.js'
import { publicKeyOf, ready, sr25519Verify } from '../../src/wallet/sr25519.js'
import type { ModelFacts } from '../../src/window/group.js'

export interface MeansOptions {
  profile: Profile
  /** Folder with metadata.json and the tokenizer, with weights for engines that have some. */
  checkpointFolder: string | undefined
  engine: EngineName | undefined
  /** Python of the transformers worker and of judges. */
  python: string | undefined
  datasetFolder: string | undefined
  stateFolder: string
  signal: AbortSignal
}

/** What rows are judged with, and what could not be had. */
export interface Means {
  options: Pick<JudgeOptions, 'verify' | 'checkpoint' | 'model' | 'tokenizer' | 'environment' | 'engine'>
  missing: string[]
  close(): Promise<void>
}

/**
 * Opens what a checkpoint folder gives to judge with: metadata, tokenizer, environment and, when asked, an engine.
 * @throws CannotJudge when the folder is no checkpoint, or the engine does not start
 */
export async function openMeans(options: MeansOptions): Promise<Means> {
  await ready()
  const closers: (() => Promise<void>)[] = []
  const means: Means = {
    options: { verify },
    missing: [],
    close: async () => {
      for (const close of closers.reverse()) await close()
    },
  }
  if (options.checkpointFolder === undefined) {
    if (options.engine) throw new CannotJudge('--engine needs --checkpoint: the folder with the weights to replay with')
    return means
  }
  const checkpoint = await readCheckpoint(options.checkpointFolder, options.profile)
  if (typeof checkpoint === 'string') throw new CannotJudge(checkpoint)
  means.options.checkpoint = checkpoint.metadata
  try {
    means.options.tokenizer = await loadTokenizer(checkpoint.folder)
    means.options.model = await factsOf(checkpoint, means.options.tokenizer)
  } catch (error) {
    means.missing.push(`no tokenizer: ${(error as Error).message}`)
  }
  if (means.options.tokenizer) await openProblems(checkpoint, options, means, closers)
  if (options.engine) {
    const engine =
      options.engine === 'rehearsal'
        ? openEngine('rehearsal', { profile: options.profile })
        : // Whatever generated: proofs are the worker's, and so is their replay.
          openEngine('transformers', {
            profile: options.profile,
            python: resolve(options.python ?? join(packageRoot, '.venv', 'bin', 'python')),
          })
    closers.push(() => engine.close())
    try {
      means.options.model = await engine.start(checkpoint, options.signal)
    } catch (cause) {
      await means.close()
      throw new CannotJudge(`engine ${options.engine} does not start: ${(cause as Error).message}`, { cause })
    }
    means.options.engine = engine
  }
  return means
}

async function openProblems(
  checkpoint: Checkpoint,
  options: MeansOptions,
  means: Means,
  closers: (() => Promise<void>)[],
): Promise<void> {
  const { environment, environmentParams } = checkpoint.metadata
  try {
    const opened = await openEnvironment(
      environment,
      {
        params: environmentParams,
        stateFolder: options.stateFolder,
        datasetFolder: options.datasetFolder,
        python: options.python,
        signal: options.signal,
      },
      options.profile,
    )
    closers.push(() => opened.close())
    means.options.environment = opened
  } catch (error) {
    means.missing.push(`environment ${environment} could not be opened: ${(error as Error).message}`)
  }
}

const modelConfig = z.looseObject({
  vocab_size: z.int().positive().optional(),
  max_position_embeddings: z.int().positive().optional(),
})

/** Facts of a model that is not loaded: from its config.json, where there is one, else from the tokenizer. */
async function factsOf({ metadata, folder }: Checkpoint, tokenizer: Tokenizer): Promise<ModelFacts> {
  let config: z.infer<typeof modelConfig> = {}
  try {
    config = modelConfig.parse(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return {
    checkpointWindow: metadata.window,
    modelName: metadata.modelName,
    weightsHash: metadata.weightsHash,
    eosTokenId: tokenizer.eosTokenId,
    vocabSize: config.vocab_size ?? tokenizer.vocabSize,
    maxPositions: config.max_position_embeddings ?? Number.MAX_SAFE_INTEGER,
  }
}

/** sr25519; false for an address or a signature that is none. */
export const verify: VerifySignature = (message, signature, signer) => {
  let publicKey: Uint8Array
  try {
    publicKey = publicKeyOf(signer)
  } catch {
    return false
  }
  return sr25519Verify(message, signature, publicKey)
}

import { randomUUID } from 'node:crypto'
import { join, resolve } from 'node:path'
import type { Checkpoint } from '../../checkpoint/metadata.js'
import { EngineError } from '../engine.js'
import { askAt } from './ask.js'
import { attachedServer } from './attached.js'
import type { Dialect } from './dialect.js'
import type { ServerAddress } from './http.js'
import { openLogFile } from './log-file.js'
import type { ServedLimits, ServedOptions } from './options.js'
import type { GenerationServer, Launch } from './server.js'
import { pointLink, type ServingFolder } from './serving-folder.js'
import { superviseServer } from './supervised.js'

/** A generation server together with what is known of its weights. */
export interface WeighedServer {
  readonly server: GenerationServer
  /**
   * Brings a checkpoint into it: in place where it can, else by a start.
   * @param version our name of the weights
   * @throws EngineError; the signal's reason
   */
  put(checkpoint: Checkpoint, serving: ServingFolder, version: string, signal: AbortSignal): Promise<void>
  /** It did not hold what it said: for the next checkpoint it is started anew. */
  distrust(): void
  /** Longest sequence, prompt and completion, that it makes of this checkpoint, tokens. */
  contextLength(serving: ServingFolder): number
}

export interface WeighedParts {
  limits: ServedLimits
  /** Folder for links to checkpoints. */
  folders: string
  /** Sequences it works on at once. */
  sequences: number
  random: () => number
  onOutOfMemory: (line: string) => void
}

/** The reference's servers (one-covenant/grail, max_model_len, 54d6342). */
const CONTEXT_LENGTH = 12_288
/** sglang's and vllm's own defaults leave no room for a proof model on the same GPU. */
const MEMORY_SHARE = 0.6
/** Tokens of the health check's own generation. */
const HEALTH_TOKENS = 2

/** The server that is started, or found running, for an engine of this dialect; nothing happens before put(). */
export function weighedServer(dialect: Dialect, options: ServedOptions, parts: WeighedParts): WeighedServer {
  const { name, stateFolder, start, attach, onLog = () => {} } = options
  const { limits, folders, sequences, random, onOutOfMemory } = parts
  let trusted = true
  /** What a server started by somebody else makes at most: it would cut longer sequences without a word. Tokens. */
  let longest = Number.POSITIVE_INFINITY
  /** What the running server was started with and cannot change while it runs. */
  let fixed: { eosTokenId: number; contextLength: number } | undefined
  let wanted: { folder: string; version: string; eosTokenId: number } | undefined

  /** Is it there, is it ours, does it generate? */
  async function probe(address: ServerAddress, signal: AbortSignal): Promise<void> {
    const ask = askAt(address, signal)
    const model = wanted
    if (!model) return
    await dialect.sample((method, path, body) => ask(method, path, body, limits.healthMs), {
      id: randomUUID(),
      promptIds: Int32Array.of(model.eosTokenId),
      generation: { maxTokens: HEALTH_TOKENS, temperature: 1, topP: 1, topK: 0, repetitionPenalty: 1 },
      eosTokenId: model.eosTokenId,
      logprobs: false,
      version: model.version,
    })
    const served = await dialect.served(ask)
    if (resolve(served.folder) !== resolve(model.folder))
      throw new EngineError(`the server serves ${served.folder}, not ${model.folder}`, 'later')
  }

  const watch = { healthEveryMs: limits.healthEveryMs, healthMs: limits.healthMs, onLog }
  const logFile = options.logFile && openLogFile(options.logFile.file, { ...options.logFile, onTrouble: onLog })
  // An attached server has the weights it had until put() gives it others: it is asked whether it is there only.
  const server: GenerationServer = start
    ? superviseServer({
        ...watch,
        ...limits,
        probe,
        name,
        stateFolder: resolve(stateFolder),
        random,
        onOutOfMemory,
        gpuProcesses: options.gpuProcesses ?? (() => Promise.resolve(undefined)),
        ...(logFile ? { onServerLine: logFile.write } : {}),
        ...(start.port === undefined ? {} : { port: start.port }),
      })
    : attachedServer({ ...watch, ...attach!, probe })

  function contextLength(serving: ServingFolder): number {
    return Math.min(options.contextLength ?? CONTEXT_LENGTH, serving.maxPositions)
  }

  function launchOf(serving: ServingFolder, model: { folder: string; version: string }) {
    return (port: number): Launch =>
      dialect.launch(
        {
          program: start!.program,
          extraArgs: start!.extraArgs ?? [],
          env: start!.env ?? {},
          tensorParallel: start!.tensorParallel ?? 1,
          memoryShare: start!.memoryShare ?? MEMORY_SHARE,
          contextLength: contextLength(serving),
          sequences,
          cacheFolder: join(resolve(stateFolder), `${name}.cache`),
        },
        model,
        port,
      )
  }

  function isUp(): boolean {
    try {
      server.up()
      return true
    } catch {
      return false
    }
  }

  async function put(
    checkpoint: Checkpoint,
    serving: ServingFolder,
    version: string,
    signal: AbortSignal,
  ): Promise<void> {
    const inPlace = dialect.reload !== undefined
    // vLLM is told a link, since it reloads from the path it was started with.
    const link = join(folders, 'current')
    const linked = dialect.name === 'vllm' && inPlace
    if (linked) await pointLink(link, serving.folder)
    const model = { folder: linked ? link : serving.folder, version }
    const launch = start ? launchOf(serving, model) : () => ({ program: '', args: [], env: {} })
    const startAnew = async (): Promise<void> => {
      wanted = { ...model, eosTokenId: serving.eosTokenId }
      await server.start(launch, signal)
      trusted = true
      fixed = { eosTokenId: serving.eosTokenId, contextLength: contextLength(serving) }
    }
    const fits = fixed?.eosTokenId === serving.eosTokenId && fixed.contextLength === contextLength(serving)
    if (server.owned && !(inPlace && trusted && fits && isUp())) return startAnew()
    // Nothing to compare with before the change.
    wanted = undefined
    if (!server.owned) await server.start(launch, signal)
    const ask = askAt(server.up(), signal)
    if (!server.owned) longest = (await dialect.longest(ask)) ?? Number.POSITIVE_INFINITY
    if (dialect.reload) {
      try {
        await dialect.reload(ask, model)
      } catch (error) {
        signal.throwIfAborted()
        if (!server.owned) throw error
        onLog(`${name} did not take the weights while running (${(error as Error).message}) and is started anew`)
        return startAnew()
      }
      server.relaunchWith(launch)
      wanted = { ...model, eosTokenId: serving.eosTokenId }
    } else {
      const { folder } = await dialect.served(ask)
      if (resolve(folder) !== resolve(checkpoint.folder))
        throw new EngineError(
          `the ${dialect.name} server at ${attach!.url} serves ${folder}, and its weights cannot be changed from outside: ` +
            `let it be started with ${resolve(checkpoint.folder)}`,
          'never',
        )
      wanted = { folder, version, eosTokenId: serving.eosTokenId }
    }
  }

  return {
    server,
    put,
    contextLength: serving => Math.min(contextLength(serving) - dialect.heldBack, longest),
    distrust() {
      trusted = false
    },
  }
}

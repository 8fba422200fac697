import type { GenerationParams } from '../../checkpoint/metadata.js'
import { EngineError } from '../engine.js'
import type { ServerAnswer } from './http.js'
import type { Launch } from './server.js'
import { saysOutOfMemory } from './signs.js'

/** How a generation server is started. Every path is absolute. */
export interface ServerTemplate {
  /** A virtual environment's folder, a Python, or another executable that takes the server's own arguments. */
  program: string
  /** Further arguments, as they are. */
  extraArgs: readonly string[]
  /** The server's environment: PATH, HOME, CUDA_VISIBLE_DEVICES, …; nothing is inherited. */
  env: Readonly<Record<string, string>>
  /** GPUs the model is split over. */
  tensorParallel: number
  /** Share of the GPU's memory the server may take, in (0, 1). */
  memoryShare: number
  /** Longest sequence, prompt and completion, in tokens. */
  contextLength: number
  /** Sequences the server works on at once. */
  sequences: number
  /** A folder for this server's caches: several servers that share one corrupt it at a common start. */
  cacheFolder: string
}

/** What a server holds or should hold. */
export interface ServedModel {
  folder: string
  /** Our name of the weights; undefined when the server does not report one. */
  version?: string
}

export type Ask = (method: 'GET' | 'POST', path: string, body?: unknown, timeoutMs?: number) => Promise<ServerAnswer>

export interface SampleRequest {
  /** Names the request to the server, so that it can be aborted. */
  id: string
  promptIds: Int32Array
  generation: GenerationParams
  eosTokenId: number
  /** Are log-probabilities wanted? Only asked for with temperature 1 and nothing cut off, where all servers mean the same. */
  logprobs: boolean
  /** Our name of the weights that should answer. */
  version: string
}

export interface Sample {
  /** With the EOS it ended on. */
  ids: Int32Array
  /** Of each id, when asked for. */
  logprobs: number[]
}

/** What one kind of server does differently from another. */
export interface Dialect {
  name: 'sglang' | 'vllm'
  /** Tokens of the context length that prompt and completion together cannot have: the server cuts what asks for them. */
  heldBack: number
  launch(template: ServerTemplate, model: Required<ServedModel>, port: number): Launch
  /** One completion. @throws ServerTrouble for what may succeed later, EngineError 'never' for what cannot */
  sample(ask: Ask, request: SampleRequest): Promise<Sample>
  /** Tells the server to stop working on requests nobody waits for, where hanging up does not. */
  abort?(ask: Ask, ids: readonly string[]): Promise<void>
  served(ask: Ask): Promise<ServedModel>
  /** Longest sequence, prompt and completion, that a server started by somebody else makes, tokens; undefined when it does not say. */
  longest(ask: Ask): Promise<number | undefined>
  /** Puts other weights into the running server; absent: it is started again instead. */
  reload?(ask: Ask, model: Required<ServedModel>): Promise<void>
}

/** Server or prover hold other weights than they should: nothing they make is worth anything until another load(). */
export class OtherWeights extends EngineError {
  constructor(message: string) {
    super(message, 'never')
  }
}

/** The server could not do it now; it may later. */
export class ServerTrouble extends Error {
  readonly outOfMemory: boolean
  constructor(message: string) {
    super(message)
    this.name = 'ServerTrouble'
    this.outOfMemory = saysOutOfMemory(message)
  }
}

/** Request timeout, early, conflict, too many: the same request may succeed later. */
const LATER = new Set([408, 409, 425, 429])
const EXCERPT = 300

/** The answer's JSON. @throws ServerTrouble on 5xx, on out-of-memory and on garbage; EngineError 'never' on other refusals */
export function jsonOf({ status, text }: ServerAnswer, path: string): unknown {
  const excerpt = text.slice(0, EXCERPT)
  if (status !== 200) {
    const message = `${path} answered ${status}: ${excerpt}`
    if (status >= 500 || LATER.has(status) || saysOutOfMemory(text)) throw new ServerTrouble(message)
    throw new EngineError(message, 'never')
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new ServerTrouble(`${path} answered with something that is not JSON: ${excerpt}`)
  }
}

import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { timeOut } from '../../time-out.js'
import type { ModelFacts } from '../../window/group.js'
import type { GroupRequest } from '../engine.js'
import { EngineError } from '../engine.js'
import { type Dialect, type Sample, ServerTrouble } from './dialect.js'
import { askServer, ServerSilent } from './http.js'
import type { GenerationServer } from './server.js'

export interface CompletionParts {
  dialect: Dialect
  server: GenerationServer
  facts: ModelFacts
  version: string
  /** For one completion, ms. */
  timeoutMs: number
  /** Wait before the second attempt, ms; doubled before the third. */
  retryMs: number
  random: () => number
  onOutOfMemory: (message: string) => void
  signal: AbortSignal
}

/** Attempts at one completion (one-covenant/grail grail/environments/backends/sglang.py:62-235, 54d6342). */
const ATTEMPTS = 3
const JITTER = 0.25
/** What a caller is told after the last attempt: the server is looked at meanwhile. */
const RETRY_MS = 5_000
/** An abort is a courtesy. */
const ABORT_MS = 5_000

/**
 * Checks what a server says it generated: ids of the vocabulary, ending with the tokenizer's EOS and having none before
 * it, or exactly max_tokens long. The server's own reason for the end is not relied upon.
 * @throws EngineError 'never': such a server would only give more of the same
 */
export function checkCompletion(ids: Int32Array, maxTokens: number, facts: ModelFacts): void {
  const { eosTokenId, vocabSize } = facts
  const outside = ids.find(id => id < 0 || id >= vocabSize)
  if (outside !== undefined)
    throw new EngineError(`the server returned id ${outside}, outside the vocabulary of ${vocabSize} tokens`, 'never')
  const at = ids.indexOf(eosTokenId)
  if (at >= 0 && at < ids.length - 1)
    throw new EngineError(`the server generated past EOS (at ${at} of ${ids.length} tokens)`, 'never')
  if (ids.length > maxTokens)
    throw new EngineError(`the server returned ${ids.length} tokens, more than max_tokens ${maxTokens}`, 'never')
  if (at < 0 && ids.length < maxTokens)
    throw new EngineError(
      `the server stopped after ${ids.length} of ${maxTokens} tokens without EOS: something else ends its completions`,
      'never',
    )
}

/**
 * The completions of one group, each its own request, all at once: the server's batcher mixes them with other groups'.
 * What may pass is tried three times; when one completion fails for good the others are aborted.
 * @throws EngineError; the signal's reason
 */
export async function completionsOf(request: GroupRequest, parts: CompletionParts): Promise<Int32Array[]> {
  const failed = new AbortController()
  const signal = AbortSignal.any([parts.signal, failed.signal])
  // Every completion listens while it waits for its next attempt.
  setMaxListeners(0, signal)
  const open = new Set<string>()
  const all = await Promise.allSettled(
    Array.from({ length: request.groupSize }, () =>
      completion(request, { ...parts, signal }, open).catch((error: unknown) => {
        failed.abort(error)
        throw error
      }),
    ),
  )
  if (signal.aborted) {
    void abortAll(parts, open)
    throw signal.reason
  }
  return all.map(one => (one as PromiseFulfilledResult<Int32Array>).value)
}

async function completion(request: GroupRequest, parts: CompletionParts, open: Set<string>): Promise<Int32Array> {
  const { signal, server, retryMs, random } = parts
  for (let attempt = 1; ; attempt++) {
    const id = randomUUID()
    open.add(id)
    try {
      const { ids } = await sample(request, parts, id)
      open.delete(id)
      checkCompletion(ids, request.generation.maxTokens, parts.facts)
      server.well()
      return ids
    } catch (error) {
      signal.throwIfAborted()
      // Its address is only known while it is up; a request that was answered need not be aborted.
      if (error instanceof EngineError) throw error
      const { message } = error as Error
      if (error instanceof ServerTrouble && error.outOfMemory) parts.onOutOfMemory(message)
      else server.suspect(message)
      if (attempt >= ATTEMPTS || error instanceof ServerSilent)
        throw new EngineError(`${message} (attempt ${attempt})`, 'later', { retryAfterMs: RETRY_MS, cause: error })
      const waitMs = retryMs * 2 ** (attempt - 1) * (1 - JITTER + 2 * JITTER * random())
      await sleep(waitMs, undefined, { signal }).catch(() => {
        throw signal.reason
      })
    }
  }
}

function sample(request: GroupRequest, parts: CompletionParts, id: string): Promise<Sample> {
  const { dialect, server, signal, timeoutMs, facts, version } = parts
  const address = server.up()
  return dialect.sample((method, path, body) => askServer(address, method, path, body, { timeoutMs, signal }), {
    id,
    promptIds: request.promptIds,
    generation: request.generation,
    eosTokenId: facts.eosTokenId,
    logprobs: false,
    version,
  })
}

async function abortAll({ dialect, server }: CompletionParts, open: ReadonlySet<string>): Promise<void> {
  if (!dialect.abort || open.size === 0) return
  try {
    const address = server.up()
    await dialect.abort(
      (method, path, body, timeoutMs = ABORT_MS) =>
        askServer(address, method, path, body, { timeoutMs, signal: timeOut(timeoutMs) }),
      [...open],
    )
  } catch {
    // A server that cannot be reached works on nothing of ours.
  }
}

import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { z } from 'zod'
import type { Checkpoint } from '../../checkpoint/metadata.js'
import type { ModelFacts } from '../../window/group.js'
import { EngineError } from '../engine.js'
import { restartWaitMs } from './backoff.js'
import { call, WorkerSilent } from './call.js'
import { startWorker, type Worker, type WorkerOptions } from './child.js'
import { Facts, Health, weightsBody } from './wire.js'

/** Gigabytes from a slow disk. */
const LOAD_MS = 600_000
const HEALTH_MS = 120_000
/** What a caller is told while the worker is being started again: a start takes about this long. */
const START_RETRY_MS = 10_000

/** A Python worker that is kept alive with the checkpoint it was given. */
export interface KeptWorker {
  /** What is loaded, undefined before the first load() and while another checkpoint is being loaded. */
  facts(): ModelFacts | undefined
  /** @throws EngineError 'later' while no worker is up, 'never' after close() */
  requireUp(): void
  /** Into the worker that is up, or into a new one when there is none. */
  load(checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts>
  /** Asks the worker that is up; one that does not answer within timeoutMs is ended and started again. */
  ask<T>(
    path: string,
    body: unknown,
    reply: z.ZodType<T>,
    limits: { timeoutMs: number; signal: AbortSignal },
  ): Promise<T>
  /** Ends the worker with its process group; idempotent. */
  close(): Promise<void>
}

export interface KeeperOptions extends WorkerOptions {
  /** In [0, 1); spreads the restarts of several workers. */
  random?: () => number
}

/**
 * Keeps one worker: it is a child in its own process group; when it dies or hangs it is ended with its group and started
 * again with the same checkpoint, after a wait that grows with each failure; meanwhile every request is answered by
 * EngineError 'later'.
 */
export function keepWorker(workerOptions: KeeperOptions): KeptWorker {
  const { random = Math.random, onLog = () => {} } = workerOptions
  const closing = new AbortController()
  let worker: Worker | undefined
  let held: { checkpoint: Checkpoint; facts: ModelFacts } | undefined
  let reviving: Promise<void> | undefined
  /** Workers that are being started: close() waits for their end too. */
  const starting = new Set<Promise<unknown>>()

  async function ask<T>(
    to: Worker,
    method: 'GET' | 'POST',
    path: string,
    body: unknown,
    reply: z.ZodType<T>,
    limits: { timeoutMs: number; signal: AbortSignal },
  ): Promise<T> {
    try {
      return await call(to, method, path, body, reply, {
        ...limits,
        signal: AbortSignal.any([limits.signal, closing.signal]),
      })
    } catch (error) {
      if (!(error instanceof WorkerSilent)) throw error
      onLog(`${error.message}: it is ended`)
      await to.stop()
      throw new EngineError(error.message, 'later', { retryAfterMs: START_RETRY_MS, cause: error })
    }
  }

  async function loadInto(to: Worker, checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts> {
    const local = { ...checkpoint, folder: resolve(checkpoint.folder) }
    const facts = await ask(to, 'POST', '/v1/weights', weightsBody(local), Facts, { timeoutMs: LOAD_MS, signal })
    await ask(to, 'GET', '/health', undefined, Health, { timeoutMs: HEALTH_MS, signal })
    return facts
  }

  /** Starts a worker that holds the checkpoint; it is looked after from then on. */
  function bringUp(checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts> {
    const up = startAndLoad(checkpoint, signal).finally(() => starting.delete(up))
    starting.add(up)
    return up
  }

  async function startAndLoad(checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts> {
    const either = AbortSignal.any([signal, closing.signal])
    const started = await startWorker(workerOptions, either)
    try {
      const facts = await loadInto(started, checkpoint, either)
      worker = started
      held = { checkpoint, facts }
      void started.exited.then(how => onExit(started, how))
      return facts
    } catch (error) {
      await started.stop()
      throw error
    }
  }

  function onExit(ended: Worker, how: string): void {
    if (worker !== ended) return
    worker = undefined
    if (closing.signal.aborted || !held) return
    onLog(`the worker ended (${how}) and is started again`)
    const { checkpoint } = held
    reviving = ended
      .stop()
      .then(() => revive(checkpoint))
      .catch((error: unknown) => onLog(`the worker is not started again: ${(error as Error).message}`))
      .finally(() => {
        reviving = undefined
      })
  }

  async function revive(checkpoint: Checkpoint): Promise<void> {
    for (let failures = 0; !closing.signal.aborted; failures++) {
      const aborted = await sleep(restartWaitMs(failures, random()), false, { signal: closing.signal }).catch(
        () => true,
      )
      if (aborted) return
      try {
        await bringUp(checkpoint, closing.signal)
        onLog('the worker is up again')
        return
      } catch (error) {
        if (closing.signal.aborted) return
        onLog(`the worker could not be started again: ${(error as Error).message}`)
      }
    }
  }

  /** The worker that is up, or the reason to come back later. */
  function upWorker(): Worker {
    if (closing.signal.aborted) throw new EngineError('the engine is closed', 'never')
    if (worker) return worker
    throw new EngineError(
      reviving !== undefined ? 'the worker is being started again' : 'no checkpoint is loaded yet: wait for load()',
      'later',
      { retryAfterMs: START_RETRY_MS },
    )
  }

  /** Into the worker that is up, or into a new one when there is none. */
  async function load(checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts> {
    signal.throwIfAborted()
    if (!worker && reviving === undefined && !closing.signal.aborted) return bringUp(checkpoint, signal)
    const to = upWorker()
    // Whatever comes of it, the old weights are gone.
    held = undefined
    const facts = await loadInto(to, checkpoint, signal)
    held = { checkpoint, facts }
    return facts
  }

  return {
    facts: () => held?.facts,
    requireUp: () => void upWorker(),
    load,
    ask: (path, body, reply, limits) => ask(upWorker(), 'POST', path, body, reply, limits),

    async close(): Promise<void> {
      closing.abort(new EngineError('the engine is closed', 'never'))
      const last = worker
      worker = undefined
      held = undefined
      await Promise.all([reviving, last?.stop(), Promise.allSettled(starting)])
    },
  }
}

import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { z } from 'zod'
import type { Checkpoint } from '../checkpoint/metadata.js'
import { GRAIL_V5 } from '../protocol/profile.js'
import type { ModelFacts } from '../window/group.js'
import { checkGroupRequest, checkVerifyRequest } from './check.js'
import type { Engine, GroupReply, GroupRequest, VerifyReply, VerifyRequest } from './engine.js'
import { EngineError } from './engine.js'
import { restartWaitMs } from './transformers/backoff.js'
import { call, WorkerSilent } from './transformers/call.js'
import { startWorker, type Worker, type WorkerOptions } from './transformers/child.js'
import { Facts, Group, groupBody, Health, Proof, verifyBody, weightsBody } from './transformers/wire.js'

export interface TransformersOptions extends Partial<Omit<WorkerOptions, 'python'>> {
  /** Path of a Python that has the worker's requirements, e.g. .venv/bin/python. */
  python: string
  /** How long after a request's deadline the worker may still be silent before it counts as hung, ms. */
  deadlineGraceMs?: number
  /** In [0, 1); spreads the restarts of several workers. */
  random?: () => number
}

/** Gigabytes from a slow disk. */
const LOAD_MS = 600_000
const HEALTH_MS = 120_000
const VERIFY_MS = 300_000
/** The worker looks at the deadline once per token and per proof; one of these may take some seconds. */
const DEADLINE_GRACE_MS = 30_000
/** What a caller is told while the worker is being started again: a start takes about this long. */
const START_RETRY_MS = 10_000

/**
 * Generation and proofs by one Hugging Face model in a Python worker, on a GPU or a CPU. The worker is a child in its
 * own process group; when it dies or hangs it is ended with its group and started again with the same checkpoint, after
 * a wait that grows with each failure; meanwhile every request is answered by EngineError 'later'.
 */
export function transformersEngine(options: TransformersOptions): Engine {
  const profile = options.profile ?? GRAIL_V5
  if (profile.sketchOrder !== 'index')
    throw new EngineError(`the transformers engine does not prove for profile "${profile.id}"`, 'never')
  const workerOptions: WorkerOptions = { ...options, profile }
  const { random = Math.random, onLog = () => {}, deadlineGraceMs = DEADLINE_GRACE_MS } = options
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
    name: 'transformers',
    rehearsal: false,

    start: load,
    load,

    async generate(request: GroupRequest, signal: AbortSignal): Promise<GroupReply> {
      signal.throwIfAborted()
      const to = upWorker()
      const nowMs = Date.now()
      checkGroupRequest(request, held?.facts, profile, nowMs)
      const timeoutMs = request.deadlineMs - nowMs + deadlineGraceMs
      return ask(to, 'POST', '/v1/group', groupBody(request), Group, {
        timeoutMs: Math.min(timeoutMs, LOAD_MS),
        signal,
      })
    },

    async verify(request: VerifyRequest, signal: AbortSignal): Promise<VerifyReply> {
      signal.throwIfAborted()
      const to = upWorker()
      const model = checkVerifyRequest(request, held?.facts, profile)
      const proof = await ask(to, 'POST', '/v1/verify', verifyBody(request), Proof, { timeoutMs: VERIFY_MS, signal })
      return request.tokens.at(-1) === model.eosTokenId ? proof : { ...proof, eosProbability: Number.NaN }
    },

    async close(): Promise<void> {
      closing.abort(new EngineError('the engine is closed', 'never'))
      const last = worker
      worker = undefined
      held = undefined
      await Promise.all([reviving, last?.stop(), Promise.allSettled(starting)])
    },
  }
}

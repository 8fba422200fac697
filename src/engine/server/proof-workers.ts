import { setTimeout as sleep } from 'node:timers/promises'
import type { Checkpoint } from '../../checkpoint/metadata.js'
import type { Profile } from '../../protocol/profile.js'
import type { ModelFacts } from '../../window/group.js'
import type { GroupReply, GroupRequest, VerifyReply, VerifyRequest } from '../engine.js'
import { EngineError } from '../engine.js'
import type { WorkerOptions } from '../transformers/child.js'
import { type KeptWorker, keepWorker } from '../transformers/keeper.js'
import { Group, Proof, proveBody, verifyBody } from '../transformers/wire.js'
import { slots } from './slots.js'

/** A Python worker that proves. */
export type ProverOptions = Omit<WorkerOptions, 'profile' | 'onLog'>

/** Some workers that share the proofs of one generation server. */
export interface ProofWorkers {
  /** Into every worker; all must report the same weights. */
  load(checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts>
  /** Waits for a free worker; a worker that dies meanwhile is replaced by another or by itself. */
  prove(request: GroupRequest, completions: readonly Int32Array[], signal: AbortSignal): Promise<GroupReply>
  verify(request: VerifyRequest, signal: AbortSignal): Promise<VerifyReply>
  close(): Promise<void>
}

/** A proof takes seconds; a worker silent for this long hangs. */
const PROOF_MS = 300_000
/** The worker looks at the deadline before every batch; one batch may take some seconds. */
const DEADLINE_GRACE_MS = 30_000
/** A worker that lives and refuses so often will refuse the next time, too. */
const REFUSALS = 8
/** A worker that is starting is asked again after this long, ms, whatever it says: proofs have a deadline. */
const LONGEST_PAUSE_MS = 5_000

export function proofWorkers(
  options: readonly ProverOptions[],
  profile: Profile,
  onLog: (line: string) => void,
  random: () => number,
): ProofWorkers {
  if (options.length === 0) throw new EngineError('at least one proof worker is needed', 'never')
  if (profile.sketchOrder !== 'index')
    throw new EngineError(`the proof worker does not prove for profile "${profile.id}"`, 'never')
  const idle: KeptWorker[] = options.map(one => keepWorker({ ...one, profile, onLog, random }))
  const workers = [...idle]
  const places = slots(workers.length)

  function isUp(worker: KeptWorker): boolean {
    try {
      worker.requireUp()
      return true
    } catch {
      return false
    }
  }

  /** With one worker to itself; one that is up goes before one that is not. */
  async function withWorker<T>(signal: AbortSignal, task: (worker: KeptWorker) => Promise<T>): Promise<T> {
    const giveBack = await places.take(signal)
    const at = Math.max(0, idle.findIndex(isUp))
    const [worker] = idle.splice(at, 1)
    try {
      return await task(worker!)
    } finally {
      idle.push(worker!)
      giveBack()
    }
  }

  /** Until the deadline, unix ms, while workers are down: the ids are paid for, and one with a large model needs minutes to be up again. */
  async function patiently<T>(
    deadlineMs: number,
    signal: AbortSignal,
    task: (worker: KeptWorker) => Promise<T>,
  ): Promise<T> {
    for (let refusals = 0; ; ) {
      let asked: KeptWorker | undefined
      try {
        return await withWorker(signal, worker => {
          asked = isUp(worker) ? worker : undefined
          return task(worker)
        })
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof EngineError && error.next === 'later') || Date.now() >= deadlineMs) throw error
        if (asked && isUp(asked) && ++refusals >= REFUSALS) throw error
        onLog(`a proof is tried again: ${error.message}`)
        const pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(error.retryAfterMs, 100)) * (1 - random() / 4)
        await sleep(pauseMs, undefined, { signal }).catch(() => {
          throw signal.reason
        })
      }
    }
  }

  return {
    async load(checkpoint, signal) {
      const all = await Promise.allSettled(workers.map(worker => worker.load(checkpoint, signal)))
      const facts = all.map(one => {
        if (one.status === 'rejected') throw one.reason
        return one.value
      })
      const other = facts.find(({ weightsHash }) => weightsHash !== facts[0]!.weightsHash)
      if (other)
        throw new EngineError(
          `proof workers hold different weights: ${facts[0]!.weightsHash} and ${other.weightsHash}`,
          'never',
        )
      return facts[0]!
    },

    prove(request, completions, signal) {
      const body = proveBody(request, completions)
      return patiently(request.deadlineMs, signal, worker => {
        const timeoutMs = Math.min(PROOF_MS, Math.max(0, request.deadlineMs - Date.now()) + DEADLINE_GRACE_MS)
        return worker.ask('/v1/prove', body, Group, { timeoutMs, signal })
      })
    },

    verify(request, signal) {
      return withWorker(signal, worker =>
        worker.ask('/v1/verify', verifyBody(request), Proof, { timeoutMs: PROOF_MS, signal }),
      )
    },

    async close() {
      await Promise.all(workers.map(worker => worker.close()))
    },
  }
}

import type { Checkpoint } from '../checkpoint/metadata.js'
import { GRAIL_V5 } from '../protocol/profile.js'
import type { ModelFacts } from '../window/group.js'
import { checkGroupRequest, checkVerifyRequest } from './check.js'
import type { Engine, GroupReply, GroupRequest, VerifyReply, VerifyRequest } from './engine.js'
import { EngineError } from './engine.js'
import type { WorkerOptions } from './transformers/child.js'
import { keepWorker } from './transformers/keeper.js'
import { Group, groupBody, Proof, verifyBody } from './transformers/wire.js'

export interface TransformersOptions extends Partial<Omit<WorkerOptions, 'python'>> {
  /** Path of a Python that has the worker's requirements, e.g. .venv/bin/python. */
  python: string
  /** How long after a request's deadline the worker may still be silent before it counts as hung, ms. */
  deadlineGraceMs?: number
  /** In [0, 1); spreads the restarts of several workers. */
  random?: () => number
}

/** No group takes longer than this, whatever its deadline. */
const GROUP_MS = 600_000
const VERIFY_MS = 300_000
/** The worker looks at the deadline once per token and per proof; one of these may take some seconds. */
const DEADLINE_GRACE_MS = 30_000

/**
 * Generation and proofs by one Hugging Face model in a Python worker, on a GPU or a CPU. The worker is kept alive
 * (keeper.ts); one group at a time.
 */
export function transformersEngine(options: TransformersOptions): Engine {
  const profile = options.profile ?? GRAIL_V5
  if (profile.sketchOrder !== 'index')
    throw new EngineError(`the transformers engine does not prove for profile "${profile.id}"`, 'never')
  const { deadlineGraceMs = DEADLINE_GRACE_MS } = options
  const worker = keepWorker({ ...options, profile })
  const load = (checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts> => worker.load(checkpoint, signal)

  return {
    name: 'transformers',
    rehearsal: false,

    start: load,
    load,

    async generate(request: GroupRequest, signal: AbortSignal): Promise<GroupReply> {
      signal.throwIfAborted()
      worker.requireUp()
      const nowMs = Date.now()
      checkGroupRequest(request, worker.facts(), profile, nowMs)
      const timeoutMs = request.deadlineMs - nowMs + deadlineGraceMs
      return worker.ask('/v1/group', groupBody(request), Group, { timeoutMs: Math.min(timeoutMs, GROUP_MS), signal })
    },

    async verify(request: VerifyRequest, signal: AbortSignal): Promise<VerifyReply> {
      signal.throwIfAborted()
      worker.requireUp()
      const model = checkVerifyRequest(request, worker.facts(), profile)
      const proof = await worker.ask('/v1/verify', verifyBody(request), Proof, { timeoutMs: VERIFY_MS, signal })
      return request.tokens.at(-1) === model.eosTokenId ? proof : { ...proof, eosProbability: Number.NaN }
    },

    close: () => worker.close(),
  }
}

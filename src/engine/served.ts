import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { expectedWeights } from '../checkpoint/expected-weights.js'
import type { Checkpoint } from '../checkpoint/metadata.js'
import { GRAIL_V5 } from '../protocol/profile.js'
import type { ModelFacts } from '../window/group.js'
import { checkGroupRequest, checkVerifyRequest } from './check.js'
import type { Engine, EngineStatus, GroupReply, GroupRequest, VerifyReply, VerifyRequest } from './engine.js'
import { EngineError } from './engine.js'
import { type AgreementParts, agree } from './server/agreement.js'
import { askAt } from './server/ask.js'
import { bothOrNone } from './server/both.js'
import { busyTime } from './server/busy.js'
import { completionsOf } from './server/completions.js'
import { type Dialect, OtherWeights } from './server/dialect.js'
import { groupsInFlight } from './server/in-flight.js'
import { oncePerProcess } from './server/once.js'
import { LIMITS, type ServedLimits, type ServedOptions } from './server/options.js'
import { proofWorkers } from './server/proof-workers.js'
import { makeServingFolder, removeOtherFolders } from './server/serving-folder.js'
import { slots } from './server/slots.js'
import { expectTurns } from './server/turns.js'
import { weighedServer } from './server/weights.js'
import { withSignal } from './server/with-signal.js'

export type { ServedLimits, ServedOptions } from './server/options.js'

/** Three groups of 16 keep a batcher busy while one of them ends; what is best is measured. */
const GROUPS = { start: 3, most: 16 }
/** Sequences beside those of the groups: the health check and the check after a change of weights must not queue. */
const SPARE_SEQUENCES = 4
/** Groups that may wait for each prover beside the one it proves: more would only make them late. */
const WAITING_PER_PROVER = 1
/** What a caller is told when the server gives no answer to be relied upon: it is looked at meanwhile. */
const RETRY_MS = 5_000
/** Past a window's deadline nothing is worth waiting for. */
const DEADLINE = 'the deadline has passed'

/**
 * Generation by a server (SGLang or vLLM), proofs by Python workers beside it.
 *
 * generate() may be called as often as inFlight() says, and more: groups wait inside for their turn, in order. A group's
 * place at the server is free for the next one as soon as its ids are there and a prover can take them, so proofs run
 * while later groups are generated; when proofs fall behind, generation waits for them.
 *
 * load() gives up every group in flight (EngineError 'never': its weights are no more) and resolves when server and
 * provers hold the checkpoint and agree on its numbers. If they do not, groups are refused with EngineError 'never' until
 * another load().
 */
export function servedEngine(dialect: Dialect, options: ServedOptions): Engine {
  const { profile = GRAIL_V5, name, stateFolder, start, attach, onLog = () => {}, random = Math.random } = options
  const limits: ServedLimits = { ...LIMITS, ...options.limits }
  if ((start === undefined) === (attach === undefined))
    throw new EngineError(`the ${dialect.name} engine needs either a server to start or one to attach to`, 'never')
  const most = options.groups?.most ?? GROUPS.most
  const pace = groupsInFlight({ start: options.groups?.start ?? GROUPS.start, most })
  const generating = slots(pace.limit())
  const seats = slots(options.provers.length * (1 + WAITING_PER_PROVER))
  const provers = proofWorkers(options.provers, profile, onLog, random)
  const busy = busyTime(() => performance.now())
  const turns = expectTurns(() => performance.now())
  const folders = join(resolve(stateFolder), `${name}.serving`)
  const closing = new AbortController()

  interface Held {
    checkpoint: Checkpoint
    facts: ModelFacts
    version: string
  }
  let held: Held | undefined
  /** Why nothing can be generated until the next load(). */
  let refused: string | undefined
  /** Ends with the checkpoint: nothing that began under it goes on under another. */
  let era = new AbortController()
  const agreed = oncePerProcess()
  let loading: Promise<unknown> = Promise.resolve()

  function distrust(error: OtherWeights): void {
    refused = error.message
    weighed.distrust()
    onLog(`${name} makes no groups until the next load: ${error.message}`)
  }

  function outOfMemory(line: string): void {
    const limit = pace.outOfMemory(Date.now())
    if (limit === undefined) return
    generating.resize(limit)
    onLog(`${name} is out of memory: at most ${limit} groups at once from now on (${line})`)
  }

  const weighed = weighedServer(dialect, options, {
    limits,
    folders,
    sequences: most * profile.groupSize + SPARE_SEQUENCES,
    random,
    onOutOfMemory: outOfMemory,
  })
  const { server } = weighed

  const partsOf = (model: Held, signal: AbortSignal): AgreementParts => ({
    dialect,
    profile,
    ask: askAt(server.up(), signal),
    facts: model.facts,
    version: model.version,
    prove: (request, completions) => provers.prove(request, completions, signal),
  })

  /** Once per process of the server and checkpoint, before its first group: server and prover give the same numbers. */
  async function agreement(model: Held): Promise<void> {
    await agreed.of(server.up().incarnation, () =>
      agree(partsOf(model, era.signal)).catch((cause: unknown) => {
        // A disagreement stays; what else went wrong may pass.
        if (cause instanceof OtherWeights && held === model) distrust(cause)
        if (cause instanceof EngineError) throw cause
        const { message } = cause as Error
        server.suspect(message)
        throw new EngineError(`${name} cannot be checked: ${message}`, 'later', { retryAfterMs: RETRY_MS, cause })
      }),
    )
  }

  async function load(checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts> {
    const mine = loading.catch(() => {}).then(() => loadNow(checkpoint, AbortSignal.any([signal, closing.signal])))
    loading = mine
    return mine
  }

  async function loadNow(checkpoint: Checkpoint, signal: AbortSignal): Promise<ModelFacts> {
    signal.throwIfAborted()
    const { metadata } = checkpoint
    if (held) sayBusy(held)
    held = undefined
    refused = undefined
    agreed.forget()
    pace.newCheckpoint()
    era.abort(new EngineError(`checkpoint ${metadata.window} was loaded while the group was being made`, 'never'))
    era = new AbortController()
    await mkdir(folders, { recursive: true })
    const serving = await makeServingFolder(checkpoint, folders)
    const version = `${metadata.window}/${expectedWeights(checkpoint) || 'unhashed'}`
    // Both take minutes, and neither needs the other.
    const proved = await bothOrNone(
      either => provers.load(checkpoint, either),
      either => weighed.put(checkpoint, serving, version, either),
      signal,
    ).catch((error: unknown) => {
      if (error instanceof EngineError && error.next === 'never' && !signal.aborted) refused = error.message
      throw error
    })
    const facts = { ...proved, maxPositions: weighed.contextLength(serving) }
    if (facts.eosTokenId !== serving.eosTokenId)
      throw new EngineError(`EOS is ${facts.eosTokenId} to the proof worker and ${serving.eosTokenId} here`, 'never')
    held = { checkpoint, facts, version }
    await withSignal(agreement(held), signal)
    await removeOtherFolders(folders, serving.folder)
    busy.reset()
    return facts
  }

  /** What is missing to 100 % is the server's idle time: between windows, for want of groups, or because proofs fell behind. */
  function sayBusy({ facts }: Held): void {
    const { busyMs, ofMs } = busy.read()
    const share = ((100 * busyMs) / Math.max(1, ofMs)).toFixed(1)
    onLog(
      `${name} generated for ${share} % of its time with checkpoint ${facts.checkpointWindow}, ` +
        `at last ${pace.limit()} groups at once`,
    )
  }

  /** @throws EngineError why no group can be made now */
  function requireHeld(): Held {
    if (closing.signal.aborted) throw new EngineError('the engine is closed', 'never')
    if (refused !== undefined) throw new OtherWeights(refused)
    if (!held) throw new EngineError('no checkpoint is loaded yet: wait for load()', 'later', { retryAfterMs: 1_000 })
    return held
  }

  async function generate(request: GroupRequest, caller: AbortSignal): Promise<GroupReply> {
    caller.throwIfAborted()
    const calledMs = Date.now()
    const model = requireHeld()
    checkGroupRequest(request, model.facts, profile, Date.now())
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(new EngineError(DEADLINE, 'deadline')), request.deadlineMs - Date.now())
    const signal = AbortSignal.any([caller, late.signal, era.signal, closing.signal])
    const given: (() => void)[] = []
    try {
      const giveBack = await generating.take(signal)
      given.push(giveBack)
      server.up()
      await withSignal(agreement(model), signal)
      const beganMs = Date.now()
      const over = busy.enter()
      const turnOver = turns.begin()
      given.push(over, () => turnOver(false))
      const completions = await completionsOf(request, {
        dialect,
        server,
        facts: model.facts,
        version: model.version,
        timeoutMs: limits.completionMs,
        retryMs: limits.retryMs,
        random,
        onOutOfMemory: outOfMemory,
        signal,
      })
      over()
      turnOver(true)
      const generatedMs = Date.now()
      const saturated = generating.taken() >= pace.limit()
      given.push(await seats.take(signal))
      giveBack()
      const tokens = completions.reduce((sum, ids) => sum + ids.length, 0)
      pace.finished({ tokens, saturated, beganMs, endedMs: generatedMs })
      generating.resize(pace.limit())
      const reply = await provers.prove(request, completions, signal)
      if (reply.model.weightsHash !== model.facts.weightsHash)
        throw new OtherWeights('the proof worker holds other weights than were loaded')
      return {
        model: model.facts,
        completions: reply.completions,
        proofRows: reply.proofRows,
        seconds: {
          wait: (beganMs - calledMs) / 1_000,
          generate: (generatedMs - beganMs) / 1_000,
          prove: reply.seconds.prove,
        },
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof OtherWeights) refused = error.message
      throw error
    } finally {
      clearTimeout(timer)
      for (const giveBack of given) giveBack()
    }
  }

  return {
    name: dialect.name,
    rehearsal: false,
    start: load,
    load,
    generate,
    inFlight: () => pace.limit() + options.provers.length * (1 + WAITING_PER_PROVER),
    waitMs: () => turns.waitMs(pace.limit(), generating.waiting()),

    status(): EngineStatus {
      const { state, reason } = server.state()
      return {
        server: state,
        reason: refused ?? reason,
        groups: {
          generating: generating.taken(),
          limit: pace.limit(),
          proving: seats.taken(),
          waiting: generating.waiting(),
        },
        generation: busy.read(),
      }
    },

    async verify(request: VerifyRequest, signal: AbortSignal): Promise<VerifyReply> {
      signal.throwIfAborted()
      const model = requireHeld()
      checkVerifyRequest(request, model.facts, profile)
      const proof = await provers.verify(request, AbortSignal.any([signal, era.signal, closing.signal]))
      return request.tokens.at(-1) === model.facts.eosTokenId ? proof : { ...proof, eosProbability: Number.NaN }
    },

    async close(): Promise<void> {
      closing.abort(new EngineError('the engine is closed', 'never'))
      held = undefined
      await Promise.allSettled([loading, server.stop(), provers.close()])
      // A load that was under way may have started it again in between.
      await server.stop()
    },
  }
}

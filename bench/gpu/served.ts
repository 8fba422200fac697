import { join } from 'node:path'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import type { EngineStatus } from '../../src/engine/engine.js'
import { openEngine } from '../../src/engine/index.js'
import { askAt } from '../../src/engine/server/ask.js'
import type { Dialect } from '../../src/engine/server/dialect.js'
import { serverAddress } from '../../src/engine/server/http.js'
import type { ServedOptions } from '../../src/engine/server/options.js'
import { freePort } from '../../src/engine/server/port.js'
import type { ProverOptions } from '../../src/engine/server/proof-workers.js'
import { sglangDialect } from '../../src/engine/server/sglang-dialect.js'
import { vllmDialect } from '../../src/engine/server/vllm-dialect.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { type Full, keepFull, sampleGroup } from '../measure/groups-in-flight.js'
import { secondsOf, tokensOf } from './measure.js'
import { type Replayed, replay } from './replay.js'
import { requestOf, sings } from './request.js'
import type { Shape } from './shape.js'

export type ServerName = 'sglang' | 'vllm'

export interface ServedRun {
  shape: Shape
  /** Of the shape; the second one is what weights are changed to. */
  checkpoints: readonly [Checkpoint, Checkpoint]
  /** The proof worker, on the server's card. */
  prover: ProverOptions
  server: {
    name: ServerName
    program: string
    extraArgs: readonly string[]
    env: Readonly<Record<string, string>>
  }
  /** For the server's state. Absolute. */
  folder: string
  /** How long the engine looks for the best number of groups, and how long what it found is measured. */
  findMs: number
  measureMs: number
  /** Groups that are replayed. */
  replays: number
  gpuProcesses: NonNullable<ServedOptions['gpuProcesses']>
  say(line: string): void
}

export interface Served {
  /** From the start of server and worker until both agree on the numbers of a first generation. */
  startSeconds: number
  /** 1 where a canary sang, after the start and after the change of weights. */
  canaries: number[]
  /** Groups at once that the engine settled on. */
  limit: number
  /** With proofs beside it, and the server by itself with as many groups at once. */
  tokensPerSecond: number
  tokensPerSecondAlone: number
  rolloutsPerSecond: number
  /** Of the time measured: no group was being generated. */
  idleShare: number
  /** Of each group, beside generation. */
  generateSeconds: number[]
  proveSeconds: number[]
  replayed: Replayed[]
  /** Change of weights until server and worker agree again. */
  swapSeconds: number
}

const never = new AbortController().signal
/** Prompts of the server by itself are others than those before: none may be in its cache. */
const FIRST_ALONE = 1_000_000
/** What the server is asked to check it, beside groups, is shorter than they are; some servers hold tokens back. */
const SPARE_TOKENS = 64
const LOG_BYTES = 50_000_000

/**
 * Tokens per second of the groups that ended while the server was full, from the moment on by which as many have ended as
 * are open at once: those that were begun together, on an empty server, may end together.
 */
function rateOf({ done, untilMs }: Full<{ tokens: number }>, groups: number): number {
  const inside = done.filter(({ endedMs }) => endedMs <= untilMs)
  const from = inside[groups - 1]
  const last = inside.at(-1)
  if (!from || !last || last === from) throw new Error(`not more than ${groups} groups ended in the time measured`)
  const tokens = inside.slice(groups).reduce((sum, { made }) => sum + made.tokens, 0)
  return (tokens / (last.endedMs - from.endedMs)) * 1_000
}

/** The server by itself, with `groups` at once: tokens per second. */
async function rateAlone(
  { shape, checkpoints, measureMs }: ServedRun,
  dialect: Dialect,
  url: string,
  groups: number,
): Promise<number> {
  const address = serverAddress(url)
  const ask = askAt(address, never)
  const eosTokenId = shape.config.eos_token_id
  try {
    const { version = '' } = await dialect.served(ask)
    const made = await keepFull(
      measureMs,
      () => groups,
      async number => {
        const { promptIds, generation, groupSize } = requestOf(shape, checkpoints[0], FIRST_ALONE + number)
        const asked = { promptIds, generation, eosTokenId, version }
        const samples = await sampleGroup(dialect, ask, groupSize, asked)
        return { tokens: samples.reduce((sum, { ids }) => sum + ids.length, 0) }
      },
    )
    return rateOf(made, groups)
  } finally {
    address.agent.destroy()
  }
}

/** A generation server and a proof worker on one card: what proofs cost the server, exact replay, change of weights. */
export async function measureServed(of: ServedRun): Promise<Served> {
  const { shape, checkpoints, prover, server, folder, say } = of
  const port = await freePort()
  const options: ServedOptions = {
    ...{ profile: GRAIL_V5, name: 'bench', stateFolder: folder, provers: [prover], gpuProcesses: of.gpuProcesses },
    start: { program: server.program, extraArgs: server.extraArgs, env: server.env, port },
    contextLength: shape.promptTokens + shape.maxTokens + SPARE_TOKENS,
    onLog: say,
    logFile: { file: join(folder, 'server.log'), bytes: LOG_BYTES, backups: 1 },
  }
  const [dialect, engine] =
    server.name === 'vllm'
      ? [vllmDialect(true), openEngine('vllm', { ...options, weights: 'reload' })]
      : [sglangDialect, openEngine('sglang', options)]
  const canaries: number[] = []
  const sing = async (checkpoint: Checkpoint): Promise<void> => {
    canaries.push((await sings(engine, shape, checkpoint, say)) ? 1 : 0)
  }
  const status = (): EngineStatus => engine.status!()
  const inFlight = (): number => engine.inFlight!()
  const [first, second] = checkpoints
  let number = 0
  const make = async () => {
    const request = requestOf(shape, first, number++)
    const reply = await engine.generate(request, never)
    return { request, reply, tokens: tokensOf(reply) }
  }
  try {
    const startSeconds = await secondsOf(engine.start(first, never))
    say(`started in ${startSeconds.toFixed(1)} s`)
    await sing(first)
    await keepFull(of.findMs, inFlight, make)
    const { limit } = status().groups
    say(`${limit} groups at once`)
    const before = status().generation
    let idleShare = Number.NaN
    const full = await keepFull(of.measureMs, inFlight, make, () => {
      const { busyMs, ofMs } = status().generation
      idleShare = 1 - (busyMs - before.busyMs) / (ofMs - before.ofMs)
    })
    const tokensPerSecond = rateOf(full, limit)
    const tokensPerSecondAlone = await rateAlone(of, dialect, `http://127.0.0.1:${port}`, limit)
    say(`${tokensPerSecond.toFixed(0)} tokens/s with proofs, ${tokensPerSecondAlone.toFixed(0)} without`)
    const replayed: Replayed[] = []
    for (let replays = 0; replays < of.replays; replays++) {
      const { request, reply } = await make()
      replayed.push(await replay((...one) => engine.verify(...one), request, reply))
    }
    const swapSeconds = await secondsOf(engine.load(second, never))
    say(`other weights in ${swapSeconds.toFixed(1)} s`)
    await sing(second)
    const replies = full.done.map(({ made }) => made.reply)
    const tokens = replies.reduce((sum, reply) => sum + tokensOf(reply), 0)
    return {
      ...{ startSeconds, canaries, limit, tokensPerSecond, tokensPerSecondAlone, idleShare, replayed, swapSeconds },
      rolloutsPerSecond: (tokensPerSecond * replies.length * GRAIL_V5.groupSize) / tokens,
      generateSeconds: replies.map(({ seconds }) => seconds.generate),
      proveSeconds: replies.map(({ seconds }) => seconds.prove),
    }
  } finally {
    await engine.close()
  }
}

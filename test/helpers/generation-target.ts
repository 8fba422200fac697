import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Ask } from '../../src/engine/server/dialect.js'
import { sglangDialect } from '../../src/engine/server/sglang-dialect.js'
import { superviseServer } from '../../src/engine/server/supervised.js'
import { vllmDialect } from '../../src/engine/server/vllm-dialect.js'
import { standInServer } from './generation-server-control.js'
import { type Answer, askRaw } from './raw-http.js'
import { REAL_START_MS, realServer } from './real-server.js'
import { tinyCheckpoint } from './tiny-model.js'

export const dialects = { sglang: sglangDialect, vllm: vllmDialect(false) }
export type ServerName = keyof typeof dialects

/** What every server is started with, tokens. */
export const CONTEXT = 512
export const EOS = 2
/** Another id the model's own configuration names as an end. */
export const MODEL_STOP = 40

/** A generation server under test, the real one or what stands in for it. */
export interface Target {
  ask(method: 'GET' | 'POST', path: string, body?: unknown, onEvent?: (chunk: string) => unknown): Promise<Answer>
  /** The same for a dialect. */
  dialectAsk: Ask
  /** Lets the next stream stand still after its first event, where it would be over too soon. */
  hold(on: boolean): void
  checkpoints: [first: string, second: string]
}

/** One case: what is asked, the status and the JSON or text of the answer. */
export type Question = [title: string, ask: (target: Target) => Promise<Answer>, status: number, like: object | RegExp]

export const path =
  (method: 'GET' | 'POST', where: string, body?: unknown): Question[1] =>
  target =>
    target.ask(method, where, body)

/** Enough of a logit_bias to let one token win against all others. */
export const always = (id: number) => ({ [id]: 100 })
/** A prompt. */
export const ids = (length: number) => Array.from({ length }, (_, i) => 3 + (i % 250))

/** What a stream is asked with and how it is read. */
export interface Streamed {
  path: string
  body: object
  idsOf: (events: never[]) => number[]
  reason: (event: never) => unknown
}

async function checkpointIn(folder: string, real: boolean, window: number): Promise<string> {
  const target = join(folder, `${real ? 'real' : 'stand-in'}-${window}`)
  if (existsSync(target)) return target
  if (real) await tinyCheckpoint(target, { window, bigram: true })
  else {
    await mkdir(target, { recursive: true })
    await writeFile(join(target, 'config.json'), JSON.stringify({ eos_token_id: [EOS, MODEL_STOP] }))
  }
  return target
}

/** Starts it as the engine does, with the first checkpoint as version "30/first"; vLLM in its development mode. */
export async function startTarget(
  name: ServerName,
  real: boolean,
  folder: string,
): Promise<Target & { close(): Promise<void> }> {
  const checkpoints: [string, string] = [await checkpointIn(folder, real, 30), await checkpointIn(folder, real, 60)]
  const stand = await standInServer(folder, name)
  const { program, env, extraArgs } = real ? realServer(name)! : { ...stand, extraArgs: [] }
  const health = name === 'sglang' ? '/health_generate' : '/health'
  const server = superviseServer({
    name: `${name}-${real}`,
    stateFolder: folder,
    async probe({ url }) {
      const { status } = await askRaw(`${url}${health}`, 'GET')
      if (status !== 200) throw new Error(`${health} answered ${status}`)
    },
    healthEveryMs: REAL_START_MS,
    healthMs: REAL_START_MS,
    startMs: REAL_START_MS,
    termMs: 10_000,
    crashBudget: { crashes: 0, withinMs: REAL_START_MS },
    random: () => 0,
    onOutOfMemory: () => {},
    gpuProcesses: async () => undefined,
    onLog: () => {},
  })
  const template = {
    ...{ program, extraArgs, contextLength: CONTEXT, cacheFolder: join(folder, 'cache') },
    env: { ...env, VLLM_SERVER_DEV_MODE: '1' },
    ...{ tensorParallel: 1, memoryShare: 0.5, sequences: 20 },
  }
  const model = { folder: checkpoints[0], version: '30/first' }
  await server.start(port => dialects[name].launch(template, model, port), new AbortController().signal)
  const { url } = server.up()
  return {
    checkpoints,
    ask: (method, where, body, onEvent) => askRaw(`${url}${where}`, method, body, onEvent),
    dialectAsk: (method, where, body) => askRaw(`${url}${where}`, method, body),
    hold: on => stand.set(on ? { trouble: 'hold' } : {}),
    close: () => server.stop(),
  }
}

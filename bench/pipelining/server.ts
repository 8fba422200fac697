import { writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { pacedBatcher } from './batcher.js'
import { type Sampler, storySampler } from './sampler.js'

// A generation server without a GPU: SGLang's HTTP as far as the engine uses it, the checkpoint's own tokens, at the pace
// of a GPU's batcher. Its record of every step is to be had at /bench/record. Prompts cost it nothing.

const { values } = parseArgs({
  // Of a real server's arguments only some mean anything here.
  strict: false,
  options: {
    'step-ms': { type: 'string' },
    places: { type: 'string' },
    /** File that gets this server's URL. */
    announce: { type: 'string' },
    'model-path': { type: 'string' },
    'weight-version': { type: 'string' },
    host: { type: 'string' },
    port: { type: 'string' },
  },
})
const given = values as Record<string, string>

/** Health checks and the agreement ask for fewer tokens than any group. */
const GROUP_TOKENS = 33
/** After so long without work the next group is the first one again: every run of the server gives the same lengths in the same order. */
const NEW_RUN_MS = 1_000
/** More than a group has sequences. */
const SEEDS_PER_GROUP = 64
const LATEST_TIMER_MS = 1_000

const now = () => performance.timeOrigin + performance.now()
const batcher = pacedBatcher({ stepMs: Number(given['step-ms']), places: Number(given.places) }, now)
let sampler: Sampler = storySampler(given['model-path'] as string)
let served = { folder: given['model-path'] as string, version: given['weight-version'] as string }
/** Requests for one prompt are one group's. */
const groups = new Map<string, { number: number; place: number; asked: number }>()
let numbers = 0
let placeInRun = 0
let lastBusyMs = 0
const aborts = new Map<string, () => void>()
let wake = new AbortController()

/** Steps on time, for as long as there are any. */
async function run(): Promise<void> {
  for (;;) {
    const waitMs = (batcher.dueMs() ?? Number.POSITIVE_INFINITY) - now()
    if (waitMs > 0) await sleep(Math.min(waitMs, LATEST_TIMER_MS), undefined, { signal: wake.signal }).catch(() => {})
    batcher.tick(now())
    if (batcher.dueMs() !== undefined) lastBusyMs = now()
  }
}

function groupOf(prompt: readonly number[]): { number: number; place: number; asked: number } {
  const key = prompt.join()
  const known = groups.get(key)
  if (known) return known
  if (batcher.dueMs() === undefined && now() - lastBusyMs > NEW_RUN_MS) placeInRun = 0
  const made = { number: numbers++, place: placeInRun++, asked: 0 }
  groups.set(key, made)
  return made
}

interface Generate {
  rid: string
  input_ids: number[]
  sampling_params: { max_new_tokens: number; stop_token_ids: number[] } & Record<string, number>
  return_logprob?: boolean
}

async function generate({ rid, input_ids, sampling_params, return_logprob }: Generate, response: ServerResponse) {
  const { max_new_tokens: maxTokens, stop_token_ids } = sampling_params
  const eos = stop_token_ids[0] as number
  const ofGroup = maxTokens >= GROUP_TOKENS
  const group = ofGroup ? groupOf(input_ids) : undefined
  const seed = group ? group.place * SEEDS_PER_GROUP + group.asked++ : Math.trunc(Math.random() * 2 ** 32)
  const { ids, logprobs } = sampler.sample(input_ids.at(-1) as number, { seed, maxTokens, eos })
  let aborted = false
  // What is no group's takes no place: a batcher of a GPU would hardly notice it, and it is not what is measured.
  if (group)
    await new Promise<void>(resolve => {
      const idle = batcher.dueMs() === undefined
      const takeOut = batcher.add({ group: group.number, tokens: ids.length, done: resolve })
      const stop = () => {
        aborted = true
        takeOut()
        resolve()
      }
      aborts.set(rid, stop)
      response.once('close', stop)
      if (idle) {
        wake.abort()
        wake = new AbortController()
      }
    })
  aborts.delete(rid)
  const finish_reason = aborted
    ? { type: 'abort', message: 'Aborted by the client' }
    : ids.at(-1) === eos
      ? { type: 'stop', matched: eos }
      : { type: 'length', length: ids.length }
  const output_token_logprobs = return_logprob ? ids.map((id, at) => [logprobs[at], id, null]) : undefined
  answer(response, {
    text: '',
    output_ids: aborted ? [] : ids,
    meta_info: { id: rid, weight_version: served.version, finish_reason, output_token_logprobs },
  })
}

function answer(response: ServerResponse, body: unknown): void {
  if (response.writableEnded || response.destroyed) return
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return chunks.length === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString()) as unknown)
}

async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await bodyOf(request)
  switch (request.url) {
    case '/generate':
      return generate(body as Generate, response)
    case '/get_model_info':
      return answer(response, { model_path: served.folder, weight_version: served.version })
    case '/update_weights_from_disk': {
      const { model_path, weight_version } = body as { model_path: string; weight_version: string }
      sampler = storySampler(model_path)
      served = { folder: model_path, version: weight_version }
      return answer(response, { success: true, message: '' })
    }
    case '/flush_cache':
      return answer(response, {})
    case '/abort_request':
      aborts.get((body as { rid: string }).rid)?.()
      return answer(response, {})
    case '/bench/record':
      return answer(response, batcher.record())
  }
  response.writeHead(404).end()
}

const server = createServer((request, response) => {
  route(request, response).catch((error: unknown) => {
    if (!response.headersSent) response.writeHead(500)
    response.end(String(error))
  })
})
// Connections wait for the next window longer than a server of node's would let them.
server.keepAliveTimeout = 600_000
server.listen(Number(given.port), given.host, () =>
  writeFileSync(given.announce as string, `http://${given.host}:${given.port}`),
)
await run()

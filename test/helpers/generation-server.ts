import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readBigram, sampleBigram } from './bigram-model.js'
import type { ServerControl } from './generation-server-control.js'

// Stands in for SGLang or vLLM, by the arguments it is started with: the same arguments, endpoints, fields and errors, as
// documented, for what the engines use. It samples from the checkpoint it is given. What goes wrong is said by the
// control file in STAND_IN, read anew for every request. A process of its own, with one more in its group as the real
// ones have. Says what happens line by line.

const { values, positionals } = parseArgs({
  // As in `vllm serve MODEL`.
  allowPositionals: true,
  options: {
    'model-path': { type: 'string' },
    'tp-size': { type: 'string' },
    'mem-fraction-static': { type: 'string' },
    'context-length': { type: 'string' },
    'max-running-requests': { type: 'string' },
    'sampling-defaults': { type: 'string' },
    'weight-version': { type: 'string' },
    model: { type: 'string' },
    'served-model-name': { type: 'string' },
    'tensor-parallel-size': { type: 'string' },
    'gpu-memory-utilization': { type: 'string' },
    'max-model-len': { type: 'string' },
    'max-num-seqs': { type: 'string' },
    'generation-config': { type: 'string' },
    'enable-sleep-mode': { type: 'boolean' },
    host: { type: 'string' },
    port: { type: 'string' },
    dtype: { type: 'string' },
  },
})

const control = (): ServerControl => JSON.parse(readFileSync(process.env.STAND_IN!, 'utf8')) as ServerControl
const say = (line: string): void => console.log(line)
const folder = (values['model-path'] ?? values.model ?? (positionals[0] === 'serve' ? positionals[1] : undefined))!
const contextLength = Number(values['context-length'] ?? values['max-model-len'])

let model = load(folder)
let served = { folder, version: values['weight-version'] ?? 'default' }
let asleep = false
const open = new Map<string, () => void>()

function readJson(file: string): Record<string, unknown> {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>) : {}
}

function load(from: string): { table: Float64Array[]; stops: Set<number> } {
  const config = readJson(join(from, 'config.json'))
  const generation = readJson(join(from, 'generation_config.json'))
  // The real servers stop on all of these.
  return { table: readBigram(from), stops: new Set([config.eos_token_id, generation.eos_token_id].flat() as number[]) }
}

interface Asked {
  id: string
  prompt: number[]
  maxTokens: number
  temperature: number
  topP: number
  topK: number
  repetitionPenalty: number
  stops: Set<number>
}

class Refused extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

function knownOnly(given: object, known: string[]): void {
  const other = Object.keys(given).find(key => !known.includes(key))
  if (other !== undefined) throw new Refused(400, `Unexpected keyword argument '${other}'`)
}

/** The group's requests go wrong, not the health check's, unless the control file says so. */
function complete(asked: Asked): { ids: number[]; logprobs: number[] } {
  if (!Array.isArray(asked.prompt) || asked.prompt.length === 0 || asked.prompt.some(id => !Number.isInteger(id)))
    throw new Refused(400, 'input_ids must be a list of integers')
  if (asked.prompt.length + asked.maxTokens > contextLength)
    throw new Refused(
      400,
      `Requested token count exceeds the model's maximum context length of ${contextLength} tokens.`,
    )
  if (asleep) throw new Refused(500, 'the engine is asleep')
  const { trouble, probes } = control()
  const made = sampleBigram(model.table, asked.prompt, asked, { maxTokens: asked.maxTokens, stops: asked.stops })
  if (asked.maxTokens <= 2 && !probes) return made
  if (trouble === 'out-of-memory')
    throw new Refused(500, 'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB')
  if (trouble === 'no-lora') throw new Refused(400, 'LoRA weights are not loaded')
  if (trouble === 'early') return { ids: [5, 6, 7], logprobs: [-1, -1, -1] }
  if (trouble === 'past-eos') return { ids: [2, ...Array(asked.maxTokens - 1).fill(5)], logprobs: made.logprobs }
  if (trouble === 'bad-id') return { ids: Array(asked.maxTokens).fill(259), logprobs: made.logprobs }
  return made
}

async function body(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return chunks.length === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>)
}

function send(response: ServerResponse, status: number, answer: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(typeof answer === 'string' ? answer : JSON.stringify(answer))
}

/** Holds a request for as long as the control file wants it held, or until it is aborted or its connection closed. */
async function held(id: string, small: boolean, response: ServerResponse): Promise<'answer' | 'aborted' | 'hung up'> {
  const { trouble, probes } = control()
  if (trouble !== 'hold' || (small && !probes)) return 'answer'
  say(`holds ${id}`)
  return new Promise(resolve => {
    const timer = setInterval(() => control().trouble !== 'hold' && end('answer'), 20)
    const end = (how: 'answer' | 'aborted' | 'hung up'): void => {
      clearInterval(timer)
      open.delete(id)
      resolve(how)
    }
    open.set(id, () => end('aborted'))
    response.once('close', () => end('hung up'))
  })
}

async function sglangGenerate(given: Record<string, unknown>, response: ServerResponse): Promise<void> {
  const known = ['rid', 'input_ids', 'sampling_params', 'stream', 'return_token_ids', 'return_logprob']
  knownOnly(given, known)
  const parameters = given.sampling_params as Record<string, never>
  knownOnly(parameters, [
    ...['max_new_tokens', 'temperature', 'top_p', 'top_k', 'min_p', 'repetition_penalty'],
    ...['stop_token_ids', 'skip_special_tokens', 'sampling_seed', 'ignore_eos', 'n'],
  ])
  if (parameters.top_k === 0) throw new Refused(400, 'top_k must be -1 (disable), or at least 1, got 0.')
  const id = String(given.rid)
  const stops = new Set([...model.stops, ...((parameters.stop_token_ids ?? []) as number[])])
  const asked: Asked = {
    id,
    prompt: given.input_ids as number[],
    maxTokens: parameters.max_new_tokens!,
    temperature: parameters.temperature!,
    topP: parameters.top_p!,
    topK: parameters.top_k!,
    repetitionPenalty: parameters.repetition_penalty!,
    stops,
  }
  const meta = { id, prompt_tokens: asked.prompt?.length, weight_version: served.version, e2e_latency: 0.1 }
  const how = await held(id, asked.maxTokens <= 2, response)
  if (how === 'hung up') return
  if (how === 'aborted') {
    const finish_reason = { type: 'abort', message: 'Aborted by the client', status_code: null }
    return send(response, 200, { text: '', output_ids: [], meta_info: { ...meta, finish_reason } })
  }
  const { ids, logprobs } = complete(asked)
  const last = ids.at(-1)!
  const finish_reason =
    ids.length >= asked.maxTokens ? { type: 'length', length: ids.length } : { type: 'stop', matched: last }
  if (control().trouble === 'not-a-number') Object.assign(finish_reason, { type: 'stop', matched: 'NaN happened' })
  const output_token_logprobs = ids.map((one, i) => [logprobs[i], one, null])
  send(response, 200, {
    text: 'text that nobody reads',
    output_ids: ids,
    meta_info: {
      ...meta,
      finish_reason,
      completion_tokens: ids.length,
      ...(given.return_logprob ? { output_token_logprobs } : {}),
    },
  })
}

async function vllmCompletion(given: Record<string, unknown>, response: ServerResponse): Promise<void> {
  knownOnly(given, [
    ...['model', 'request_id', 'prompt', 'max_tokens', 'temperature', 'top_p', 'top_k', 'min_p', 'repetition_penalty'],
    ...['n', 'stream', 'ignore_eos', 'stop_token_ids', 'return_token_ids', 'skip_special_tokens', 'logprobs', 'seed'],
  ])
  if (given.model !== values['served-model-name'])
    throw new Refused(404, `The model \`${given.model}\` does not exist.`)
  const id = String(given.request_id)
  const asked: Asked = {
    id,
    prompt: given.prompt as number[],
    maxTokens: given.max_tokens as number,
    temperature: given.temperature as number,
    topP: given.top_p as number,
    topK: given.top_k as number,
    repetitionPenalty: given.repetition_penalty as number,
    stops: new Set([...(given.ignore_eos ? [] : model.stops), ...(given.stop_token_ids as number[])]),
  }
  if ((await held(id, asked.maxTokens <= 2, response)) === 'hung up') return
  const { ids, logprobs } = complete(asked)
  const stopped = asked.stops.has(ids.at(-1)!)
  send(response, 200, {
    id: `cmpl-${id}`,
    object: 'text_completion',
    created: 0,
    model: given.model,
    choices: [
      {
        index: 0,
        text: 'text that nobody reads',
        logprobs:
          given.logprobs === undefined
            ? null
            : { token_logprobs: logprobs, tokens: [], text_offset: [], top_logprobs: [] },
        finish_reason: stopped ? 'stop' : 'length',
        stop_reason: stopped ? ids.at(-1) : null,
        ...(given.return_token_ids && control().trouble !== 'no-ids' ? { token_ids: ids } : {}),
      },
    ],
    usage: { prompt_tokens: asked.prompt.length, completion_tokens: ids.length },
  })
}

function updateWeights(given: Record<string, unknown>, response: ServerResponse): void {
  const { weights } = control()
  if (weights === 'refused') {
    send(response, 400, { success: false, message: 'Failed to update weights: shape mismatch' })
    return
  }
  if (weights !== 'stale') model = load(String(given.model_path))
  // A server that says it has the new weights, and has not.
  served = { folder: String(given.model_path), version: String(given.weight_version) }
  say(`weights ${served.version}`)
  send(response, 200, { success: true, message: 'Succeeded to update model weights.', num_paused_requests: 0 })
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const route = `${request.method} ${new URL(request.url ?? '/', 'http://x').pathname}`
  const given = await body(request)
  const small = ((given.sampling_params as { max_new_tokens?: number })?.max_new_tokens ??
    given.max_tokens ??
    3) as number
  const { trouble, probes, weights } = control()
  const generates = route === 'POST /generate' || route === 'POST /v1/completions'
  if (generates) say(`asked ${small}`)
  if (generates && trouble === 'garbage' && (small > 2 || probes)) return send(response, 200, '<html>busy</html>')
  const sglang = values['model-path'] !== undefined
  if (sglang)
    switch (route) {
      case 'POST /generate':
        return sglangGenerate(given, response)
      case 'GET /get_model_info':
        return send(response, 200, { model_path: served.folder, weight_version: served.version, is_generation: true })
      case 'GET /health_generate':
        return send(response, 200, '')
      case 'POST /update_weights_from_disk':
        return updateWeights(given, response)
      case 'POST /flush_cache':
        return send(response, 200, 'Cache flushed.')
      case 'POST /abort_request':
        say(`abort ${given.rid}`)
        open.get(String(given.rid))?.()
        return send(response, 200, '')
    }
  else
    switch (route) {
      case 'POST /v1/completions':
        return vllmCompletion(given, response)
      case 'GET /v1/models':
        return send(response, 200, { object: 'list', data: [{ id: values['served-model-name'], root: folder }] })
      case 'POST /sleep':
        asleep = true
        return send(response, 200, '')
      case 'POST /collective_rpc':
        if (weights !== 'stale') model = load(folder)
        say('weights reloaded')
        return send(response, 200, { results: [null] })
      case 'POST /wake_up':
        asleep = false
        return send(response, 200, '')
      case 'POST /reset_prefix_cache':
        return send(response, 200, '')
    }
  send(response, 404, { detail: 'Not Found' })
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    const status = error instanceof Refused ? error.status : 500
    send(response, status, { error: { message: (error as Error).message, type: 'BadRequestError', code: status } })
  })
})
server.once('error', error => {
  say(`[Errno 98] error while attempting to bind on address ('127.0.0.1', ${values.port}): ${error.message}`)
  process.exit(1)
})

function listen(): void {
  if (control().start === 'crashes') {
    say('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.')
    process.exit(1)
  }
  if (control().start === 'waits') return void setTimeout(listen, 20)
  server.listen(Number(values.port), values.host, () => say(`listens ${process.pid} ${values.port} ${values.dtype}`))
}

if (control().stubborn) process.on('SIGTERM', () => say('ignores SIGTERM'))
// As the real ones' schedulers: in the group, and not ended with its parent.
const scheduler = spawn('sleep', ['100000'], { stdio: 'ignore' })
say(`scheduler ${scheduler.pid}`)
listen()

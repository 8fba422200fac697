import { type Asked, generate, goesWrong, loadModel, OUT_OF_MEMORY, Refused } from './generation-server-model.js'
import type { Routes, StandInParts } from './generation-server-routes.js'

// What vLLM 0.32.0 answers, as the server itself was heard to.

const refused = (status: number, message: string, type: string, param: string | null): Refused =>
  new Refused(status, message, { error: { message, type, param, code: status } })
const bad = (message: string, param: string | null = null): Refused => refused(400, message, 'BadRequestError', param)
/** What does not fit the schema of a request. */
const invalid = (type: string, loc: string, msg: string): Refused =>
  refused(400, `1 validation error:\n  {'type': '${type}', 'loc': '${loc}', 'msg': '${msg}'}`, 'Bad Request', loc)

const NUMBERS = ['max_tokens', 'temperature', 'top_p', 'top_k', 'min_p', 'repetition_penalty']

function checked(
  given: Record<string, unknown>,
  { servedName, contextLength }: StandInParts,
  vocabulary: number,
): Asked {
  for (const name of NUMBERS)
    if (typeof given[name] === 'string')
      throw invalid(
        'float_parsing',
        `body.${name}`,
        'Input should be a valid number, unable to parse string as a number',
      )
  const ids = given.prompt
  if (Array.isArray(ids) && ids.some(id => !Number.isInteger(id)))
    throw invalid(
      'int_from_float',
      'body.prompt.0',
      'Input should be a valid integer, got a number with a fractional part',
    )
  if (ids === undefined)
    throw bad('Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)', 'prompt')
  if (given.model !== undefined && given.model !== servedName)
    throw refused(
      404,
      `The model \`${String(given.model)}\` does not exist. Valid aliases: ${servedName}.`,
      'NotFoundError',
      'model',
    )
  const prompt = ids as number[]
  if (prompt.length === 0) throw bad('You must pass at least one prompt')
  const wanted = (given.max_tokens ?? 16) as number
  if (wanted > contextLength)
    throw bad(
      `max_tokens=${wanted} cannot be greater than max_model_len=${contextLength}. Please request fewer output tokens. ` +
        `(parameter=max_tokens, value=${wanted})`,
      'max_tokens',
    )
  if (prompt.length > contextLength)
    throw bad(
      `This model's maximum context length is ${contextLength} tokens. However, your prompt contains ${prompt.length} ` +
        'input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input ' +
        `prompt. (parameter=input_tokens, value=${prompt.length})`,
      'input_tokens',
    )
  const outside = prompt.find(id => id >= vocabulary)
  if (outside !== undefined) throw bad(`Token id ${outside} is out of vocabulary`)
  const topK = (given.top_k ?? 0) as number
  if (topK < -1) throw bad(`top_k must be 0 (disable), or at least 1, got ${topK}.`)
  return {
    prompt,
    // What does not fit is cut.
    maxTokens: Math.min(wanted, contextLength - prompt.length),
    temperature: (given.temperature ?? 1) as number,
    topP: (given.top_p ?? 1) as number,
    topK,
    repetitionPenalty: (given.repetition_penalty ?? 1) as number,
    stops: new Set((given.stop_token_ids ?? []) as number[]),
    bias: (given.logit_bias ?? {}) as Record<string, number>,
  }
}

export function vllmRoutes(parts: StandInParts): Routes {
  const { folder, servedName, contextLength, development, control, say, held } = parts
  let model = loadModel(folder)
  /** Requests wait while it sleeps. */
  let asleep: { wake: () => void; awake: Promise<void> } | undefined
  const fingerprint = 'vllm-0.32.0-standin'

  const routes: Routes = {
    invalidJson: at => invalid('json_invalid', `body.${at}`, 'JSON decode error'),
    size: given => given.max_tokens as number | undefined,
    generates: 'POST /v1/completions',

    'POST /v1/completions': async (given, reply) => {
      const asked = checked(given, parts, model.table.length)
      if (given.ignore_eos !== true) for (const stop of model.stops) asked.stops.add(stop)
      const trouble = goesWrong(asked.maxTokens, control())
      await asleep?.awake
      if (trouble === 'out-of-memory') throw refused(500, OUT_OF_MEMORY, 'InternalServerError', null)
      if (trouble === 'no-lora') throw bad('LoRA weights are not loaded')
      const { ids, logprobs } = generate(model, asked, trouble)
      const id = typeof given.request_id === 'string' ? given.request_id : crypto.randomUUID().replaceAll('-', '')
      const head = {
        id: `cmpl-${id}`,
        object: 'text_completion',
        created: Math.floor(Date.now() / 1_000),
        model: servedName,
      }
      const stopped = asked.stops.has(ids.at(-1)!)
      const returnsIds = given.return_token_ids === true && control().trouble !== 'no-ids'
      const rated = (from: number, to: number) =>
        given.logprobs === undefined || given.logprobs === null
          ? null
          : {
              text_offset: ids.slice(from, to).map((_, i) => from + i),
              token_logprobs: logprobs.slice(from, to),
              tokens: ids.slice(from, to).map(String),
              top_logprobs: ids.slice(from, to).map((one, i) => ({ [one]: logprobs[from + i] })),
            }
      const choice = (from: number, to: number, ended: boolean) => ({
        index: 0,
        text: 'text that nobody reads',
        logprobs: rated(from, to),
        finish_reason: ended ? (stopped ? 'stop' : 'length') : null,
        stop_reason: ended && stopped ? ids.at(-1) : null,
        prompt_token_ids: returnsIds && from === 0 ? asked.prompt : null,
        token_ids: returnsIds ? ids.slice(from, to) : null,
      })
      // Every event has the ids since the one before.
      const event = (from: number, to: number): void => {
        const ended = to === ids.length
        reply.event({ ...head, choices: [choice(from, to, ended)], ...(ended && { system_fingerprint: fingerprint }) })
      }
      if (given.stream === true) {
        reply.stream()
        event(0, 1)
      }
      if ((await held(id, trouble === 'hold', reply)) === 'hung up') return
      if (given.stream === true) {
        for (let at = 1; at < ids.length; at++) event(at, at + 1)
        return reply.done()
      }
      const [prompt_tokens, completion_tokens] = [asked.prompt.length, ids.length]
      reply.json(200, {
        ...head,
        choices: [{ ...choice(0, ids.length, true), prompt_logprobs: null, routed_experts: null }],
        service_tier: null,
        system_fingerprint: fingerprint,
        usage: {
          prompt_tokens,
          total_tokens: prompt_tokens + completion_tokens,
          completion_tokens,
          prompt_tokens_details: null,
          completion_tokens_details: null,
        },
        kv_transfer_params: null,
        ec_transfer_params: null,
        metrics: null,
      })
    },

    'GET /health': (_, reply) => reply.text(200, ''),

    'GET /v1/models': (_, reply) =>
      reply.json(200, {
        object: 'list',
        data: [
          {
            id: servedName,
            object: 'model',
            created: 0,
            owned_by: 'vllm',
            root: folder,
            parent: null,
            max_model_len: contextLength,
          },
        ],
      }),
  }
  if (!development) return routes
  return {
    ...routes,

    'POST /sleep': (_, reply, query) => {
      if (!asleep) {
        let wake = (): void => {}
        const awake = new Promise<void>(resolve => {
          wake = resolve
        })
        asleep = { wake, awake }
      }
      reply.json(200, { status: 'sleeping', level: Number(query.get('level') ?? 1) })
    },

    'POST /collective_rpc': (given, reply) => {
      if (given.method === undefined) throw refused(400, "Missing 'method' in request body", 'Bad Request', null)
      if (control().weights !== 'stale') model = loadModel(folder)
      say('weights reloaded')
      reply.json(200, { results: [null] })
    },

    'POST /wake_up': (_, reply, query) => {
      const tags = query.getAll('tags')
      if (tags.length === 0 || tags.includes('kv_cache')) {
        asleep?.wake()
        asleep = undefined
      }
      reply.json(200, { status: asleep ? 'sleeping' : 'awake', tags: tags.length > 0 ? tags : null })
    },

    'POST /reset_prefix_cache': (_, reply) => reply.json(200, { success: control().weights !== 'cached' }),
  }
}

import { existsSync } from 'node:fs'
import type { ServerControl } from './generation-server-control.js'
import { type Asked, generate, goesWrong, loadModel, OUT_OF_MEMORY, Refused } from './generation-server-model.js'
import type { Routes, StandInParts } from './generation-server-routes.js'

// What SGLang 0.5.23 answers, as the server itself was heard to.

/** Of sampling_params, in the order in which the server names them; others are refused, on the top level they are ignored. */
const PARAMETERS = [
  ...['max_new_tokens', 'stop', 'stop_token_ids', 'stop_regex', 'temperature', 'top_p', 'top_k', 'min_p'],
  ...['frequency_penalty', 'presence_penalty', 'repetition_penalty', 'min_new_tokens', 'n', 'json_schema', 'regex'],
  ...['ebnf', 'structural_tag', 'ignore_eos', 'skip_special_tokens', 'spaces_between_special_tokens', 'no_stop_trim'],
  ...['stream_interval', 'logit_bias', 'sampling_seed', 'custom_params', 'beam_width', 'watermark', 'choice'],
]
const NUMBERS = ['max_new_tokens', 'temperature', 'top_p', 'top_k', 'min_p', 'repetition_penalty']
/** The scheduler leaves a token of the context length unused, and one more for each request. */
const UNUSED = 2

/** What the server raises as ValueError. */
const value = (message: string, status = 400): Refused => new Refused(status, message, { error: { message } })
/** What does not fit its schema. */
const contract = (message: string): Refused => new Refused(400, message, { error: message })
/** What does not fit FastAPI's. */
const invalid = (type: string, loc: string, msg: string): Refused => {
  const message = `1 validation error:\n  {'type': '${type}', 'loc': (${loc}), 'msg': '${msg}'}`
  return new Refused(400, message, { object: 'error', message, type: 'Bad Request', param: null, code: 400 })
}

function checked(given: Record<string, unknown>, contextLength: number): Asked {
  const ids = given.input_ids
  if (Array.isArray(ids) && ids.some(id => !Number.isInteger(id)))
    throw invalid('value_error', "'body', 'input_ids'", 'Value error, elements must be int or list; got float')
  const parameters = (given.sampling_params ?? {}) as Record<string, unknown>
  for (const name of Object.keys(parameters))
    if (!PARAMETERS.includes(name))
      throw contract(`unknown field \`${name}\`, expected one of ${PARAMETERS.map(one => `\`${one}\``).join(', ')}`)
  for (const name of NUMBERS)
    if (typeof parameters[name] === 'string')
      throw contract(`invalid type: string ${JSON.stringify(parameters[name])}, expected f64`)
  if (!Array.isArray(ids)) throw value('Either text, input_ids or input_embeds should be provided.')
  if (ids.length === 0) throw value('input_ids cannot be empty.')
  const prompt = ids as number[]
  if (prompt.length >= contextLength)
    throw value(
      `The input (${prompt.length} tokens) is longer than the model's context length (${contextLength} tokens).`,
    )
  const wanted = (parameters.max_new_tokens ?? 128) as number
  if (prompt.length + wanted > contextLength)
    throw value(
      `Requested token count exceeds the model's maximum context length of ${contextLength} tokens. You requested a ` +
        `total of ${prompt.length + wanted} tokens: ${prompt.length} tokens from the input messages and ${wanted} tokens ` +
        'for the completion. Please reduce the number of tokens in the input messages or the completion to fit within the limit.',
    )
  const topK = (parameters.top_k ?? -1) as number
  if (topK < 1 && topK !== -1) throw value(`top_k must be -1 (disable) or at least 1, got ${topK}.`)
  return {
    prompt,
    maxTokens: Math.min(wanted, contextLength - UNUSED - prompt.length),
    temperature: (parameters.temperature ?? 1) as number,
    topP: (parameters.top_p ?? 1) as number,
    topK,
    repetitionPenalty: (parameters.repetition_penalty ?? 1) as number,
    stops: new Set(parameters.ignore_eos ? [] : ((parameters.stop_token_ids ?? []) as number[])),
    bias: (parameters.logit_bias ?? {}) as Record<string, number>,
  }
}

interface FinishReason {
  type: 'length' | 'stop' | 'abort'
  [detail: string]: unknown
}

export function sglangRoutes({ folder, version, contextLength, control, say, held, abort }: StandInParts): Routes {
  let model = loadModel(folder)
  let served = { folder, version }

  function made(
    given: Record<string, unknown>,
    id: string,
    { ids, logprobs }: { ids: number[]; logprobs: number[] },
    finish_reason: FinishReason | null,
    promptTokens: number,
  ): unknown {
    return {
      text: 'text that nobody reads',
      output_ids: ids,
      meta_info: {
        id,
        finish_reason,
        prompt_tokens: promptTokens,
        weight_version: served.version,
        num_retractions: 0,
        ...(given.return_logprob === true && {
          input_token_logprobs: [],
          output_token_logprobs: ids.map((one, i) => [logprobs[i], one, null]),
          output_token_logprobs_length: ids.length,
        }),
        reasoning_tokens: 0,
        completion_tokens: ids.length,
        cached_tokens: 0,
        ...(finish_reason && { weight_versions: [{ version: served.version, start: 0, end: ids.length }] }),
        cached_tokens_details: null,
        dp_rank: null,
        ...(finish_reason && { e2e_latency: 0.1 }),
      },
    }
  }

  function finish({ ids }: { ids: number[] }, asked: Asked, trouble: ServerControl['trouble']): FinishReason {
    if (trouble === 'not-a-number') return { type: 'stop', matched: 'NaN happened' }
    const last = ids.at(-1)!
    if (asked.stops.has(last)) return { type: 'stop', matched: last }
    return ids.length >= asked.maxTokens ? { type: 'length', length: asked.maxTokens } : { type: 'stop', matched: last }
  }

  return {
    invalidJson: at => invalid('json_invalid', `'body', ${at}`, 'JSON decode error'),
    size: given => (given.sampling_params as { max_new_tokens?: number } | undefined)?.max_new_tokens,
    generates: 'POST /generate',

    'POST /generate': async (given, reply) => {
      const id = typeof given.rid === 'string' ? given.rid : crypto.randomUUID().replaceAll('-', '')
      let asked: Asked
      try {
        asked = checked(given, contextLength)
      } catch (error) {
        if (!(error instanceof Refused) || given.stream !== true || !(error.body as { error?: object }).error)
          throw error
        // By then the stream has begun.
        const { message } = error
        reply.stream()
        reply.event({ error: { message, type: 'invalid_request_error', code: error.status, retryable: false } })
        return reply.done()
      }
      if ((given.sampling_params as { ignore_eos?: boolean }).ignore_eos !== true)
        for (const stop of model.stops) asked.stops.add(stop)
      const trouble = goesWrong(asked.maxTokens, control())
      if (trouble === 'out-of-memory') throw value(OUT_OF_MEMORY, 500)
      if (trouble === 'no-lora') throw value('LoRA weights are not loaded')
      const whole = generate(model, asked, trouble)
      const upTo = (length: number) => ({ ids: whole.ids.slice(0, length), logprobs: whole.logprobs.slice(0, length) })
      const prompt = asked.prompt.length
      if (given.stream === true) {
        reply.stream()
        reply.event(made(given, id, upTo(1), whole.ids.length === 1 ? finish(whole, asked, trouble) : null, prompt))
      }
      const how = await held(id, trouble === 'hold', reply)
      if (how === 'hung up') return
      const aborted: FinishReason = { type: 'abort', message: 'Aborted', status_code: null, err_type: null }
      const end = how === 'aborted' ? upTo(given.stream === true ? 1 : 0) : whole
      const reason = how === 'aborted' ? aborted : finish(whole, asked, trouble)
      if (given.stream !== true) return reply.json(200, made(given, id, end, reason, prompt))
      // Every event has all ids so far.
      for (let length = 2; length < end.ids.length; length++) reply.event(made(given, id, upTo(length), null, prompt))
      if (whole.ids.length > 1) reply.event(made(given, id, end, reason, prompt))
      reply.done()
    },

    'GET /server_info': (_, reply) =>
      reply.json(200, { model_path: folder, context_length: contextLength, max_req_input_len: contextLength - 6 }),

    'GET /model_info': (_, reply) =>
      reply.json(200, {
        model_path: served.folder,
        served_model_name: served.folder,
        tokenizer_path: folder,
        is_generation: true,
        preferred_sampling_params: null,
        weight_version: served.version,
        load_format: 'auto',
      }),

    'GET /health_generate': (_, reply) => reply.text(200, ''),

    'POST /update_weights_from_disk': (given, reply) => {
      if (typeof given.model_path !== 'string')
        throw invalid(
          'missing',
          "'body', 'function-after[build_struct(), UpdateWeightFromDiskReqInput]', 'model_path'",
          'Field required',
        )
      const { weights } = control()
      let next = model
      try {
        if (weights === 'refused') throw new Error('shape mismatch')
        if (!existsSync(given.model_path)) throw new Error(`no weights in ${given.model_path}`)
        next = loadModel(given.model_path)
      } catch (error) {
        const message = `Failed to get weights iterator: ${(error as Error).message}.`
        return reply.json(400, { success: false, message, num_paused_requests: 0 })
      }
      if (given.abort_all_requests === true) abort('')
      // A server that says it has the new weights, and has not.
      if (weights !== 'stale') model = next
      const named = typeof given.weight_version === 'string' ? given.weight_version : undefined
      served = { folder: given.model_path, version: named ?? served.version }
      say(`weights ${served.version}`)
      const message = `Succeeded to update model weights.${named === undefined ? '' : ` Weight version updated to ${named}.`}`
      reply.json(200, { success: true, message, num_paused_requests: 0 })
    },

    'POST /flush_cache': (_, reply) =>
      reply.text(
        200,
        'Cache flushed.\nPlease check backend logs for more details. ' +
          '(When there are running or waiting requests, the operation will not be performed.)\n',
      ),

    'POST /abort_request': (given, reply) => {
      const rid = typeof given.rid === 'string' ? given.rid : ''
      say(`abort ${rid}`)
      if (rid !== '' || given.abort_all === true) abort(rid)
      reply.text(200, '')
    },
  }
}

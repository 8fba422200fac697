import { sglangDialect } from '../../src/engine/server/sglang-dialect.js'
import { always, CONTEXT, EOS, ids, MODEL_STOP, path, type Question, type Streamed } from './generation-target.js'

// What SGLang answers: asked of version 0.5.23.

const generate =
  (parameters: object, changes: object = {}): Question[1] =>
  ({ ask }) =>
    ask('POST', '/generate', {
      input_ids: [5, 6, 7],
      sampling_params: { max_new_tokens: 6, temperature: 1, ...parameters },
      ...changes,
    })
const refusal = (message: RegExp) => ({ error: { message } })
const length = (tokens: number) => ({ type: 'length', length: tokens })

/** In this order: the later ones change its weights. */
export const sglangQuestions: Question[] = [
  ['health is a generation', path('GET', '/health_generate'), 200, /^$/],
  ['the model and its version', path('GET', '/model_info'), 200, { is_generation: true, weight_version: '30/first' }],
  [
    'a completion of ids',
    generate({ ignore_eos: true }, { rid: 'one' }),
    200,
    {
      text: String,
      output_ids: Array.from({ length: 6 }, () => Number),
      meta_info: {
        id: 'one',
        finish_reason: length(6),
        prompt_tokens: 3,
        completion_tokens: 6,
        weight_version: '30/first',
      },
    },
  ],
  [
    'with log-probabilities',
    generate({ ignore_eos: true, max_new_tokens: 2 }, { return_logprob: true }),
    200,
    { meta_info: { output_token_logprobs: Array.from({ length: 2 }, () => [Number, Number, null]) } },
  ],
  [
    'a stop id ends it and is its last id',
    generate({ stop_token_ids: [EOS], logit_bias: always(EOS) }),
    200,
    { output_ids: [EOS], meta_info: { finish_reason: { type: 'stop', matched: EOS } } },
  ],
  [
    'the model’s own stop ids end it too',
    generate({ stop_token_ids: [EOS], logit_bias: always(MODEL_STOP) }),
    200,
    { output_ids: [MODEL_STOP], meta_info: { finish_reason: { type: 'stop', matched: MODEL_STOP } } },
  ],
  [
    'ignore_eos lets nothing end it, the stop ids of the request neither',
    generate({ ignore_eos: true, stop_token_ids: [MODEL_STOP], logit_bias: always(MODEL_STOP) }),
    200,
    { output_ids: Array.from({ length: 6 }, () => MODEL_STOP), meta_info: { finish_reason: length(6) } },
  ],
  ['an unknown field is ignored', generate({}, { nonsense: 1 }), 200, { meta_info: {} }],
  ['an unknown sampling parameter is refused', generate({ nonsense: 1 }), 400, /nonsense/],
  ['top_k 0', generate({ top_k: 0 }), 400, refusal(/top_k must be -1/)],
  ['a temperature in words', generate({ temperature: 'hot' }), 400, /"error":.*hot/],
  ['no prompt', generate({}, { input_ids: undefined }), 400, refusal(/should be provided/)],
  ['an empty prompt', generate({}, { input_ids: [] }), 400, refusal(/cannot be empty/)],
  [
    'half a token',
    generate({}, { input_ids: [1.5] }),
    400,
    { object: 'error', type: 'Bad Request', code: 400, message: /input_ids/ },
  ],
  [
    'an over-long prompt',
    generate({}, { input_ids: ids(600) }),
    400,
    refusal(/longer than the model's context length/),
  ],
  [
    'a completion beyond the context',
    generate({ max_new_tokens: CONTEXT }),
    400,
    refusal(/Requested token count exceeds .* 515 tokens: 3 tokens from the input/),
  ],
  [
    'one that just fits is cut by two tokens, without a word',
    generate({ max_new_tokens: CONTEXT - 3, ignore_eos: true, logit_bias: always(5) }),
    200,
    { meta_info: { completion_tokens: CONTEXT - 3 - sglangDialect.heldBack, finish_reason: length(CONTEXT - 5) } },
  ],
  [
    'in a stream too long a completion is an event',
    generate({ max_new_tokens: CONTEXT }, { stream: true }),
    200,
    /^data: \{"error":\{"message":"Requested token count.*"code":400.*\}\}\n\ndata: \[DONE\]\n\n$/,
  ],
  ['something that is not JSON', ({ ask }) => ask('POST', '/generate', '{oops'), 400, { object: 'error', code: 400 }],
  ['what a prompt may have', path('GET', '/server_info'), 200, { max_req_input_len: CONTEXT - 6 }],
  ['an abort of what is not there', path('POST', '/abort_request', { rid: 'nobody' }), 200, /^$/],
  ['another path', path('GET', '/nowhere'), 404, { detail: 'Not Found' }],
  ['another method', path('GET', '/abort_request'), 405, { detail: 'Method Not Allowed' }],
  [
    'weights that are not there',
    path('POST', '/update_weights_from_disk', { model_path: '/nowhere', weight_version: '60/none' }),
    400,
    { success: false, message: String, num_paused_requests: 0 },
  ],
  ['and the old ones stay', path('GET', '/model_info'), 200, { weight_version: '30/first' }],
  [
    'weights without a path',
    path('POST', '/update_weights_from_disk', {}),
    400,
    { object: 'error', message: /model_path/ },
  ],
  [
    'other weights',
    ({ ask, checkpoints }) =>
      ask('POST', '/update_weights_from_disk', {
        ...{ model_path: checkpoints[1], weight_version: '60/second', flush_cache: true, abort_all_requests: true },
      }),
    200,
    { success: true, message: /Succeeded/, num_paused_requests: 0 },
  ],
  ['are told by the model', path('GET', '/model_info'), 200, { weight_version: '60/second' }],
  ['and by every answer', generate({}), 200, { meta_info: { weight_version: '60/second' } }],
  ['the cache is flushed', path('POST', '/flush_cache'), 200, /^Cache flushed/],
]

export const sglangStream: Streamed = {
  path: '/generate',
  body: {
    rid: 'stream',
    input_ids: [5, 6, 7],
    sampling_params: { temperature: 1, ignore_eos: true, max_new_tokens: 6 },
    stream: true,
  },
  // Every event has all ids so far.
  idsOf: (events: { output_ids: number[] }[]) => events.at(-1)!.output_ids,
  reason: (event: { meta_info: { finish_reason: { type: string } | null } }) =>
    event.meta_info.finish_reason?.type ?? null,
}

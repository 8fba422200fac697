import { always, CONTEXT, EOS, ids, MODEL_STOP, path, type Question, type Streamed } from './generation-target.js'

// What vLLM answers: asked of version 0.32.0.

const complete =
  (changes: object): Question[1] =>
  ({ ask }) =>
    ask('POST', '/v1/completions', {
      ...{ model: 'grail', prompt: [5, 6, 7], max_tokens: 6, temperature: 1, ignore_eos: true, return_token_ids: true },
      ...changes,
    })
const choice = (one: object) => ({ object: 'text_completion', model: 'grail', choices: [{ index: 0, ...one }] })
const refusal = (type: string, param: string | null, message: RegExp, code = 400) => ({
  error: { message, type, param, code },
})

export const vllmQuestions: Question[] = [
  ['health', path('GET', '/health'), 200, /^$/],
  [
    'the model and its folder',
    path('GET', '/v1/models'),
    200,
    { object: 'list', data: [{ id: 'grail', object: 'model', owned_by: 'vllm', max_model_len: CONTEXT }] },
  ],
  [
    'a completion of ids',
    complete({ request_id: 'one' }),
    200,
    {
      ...choice({ finish_reason: 'length', stop_reason: null, token_ids: Array.from({ length: 6 }, () => Number) }),
      id: 'cmpl-one',
      usage: { prompt_tokens: 3, total_tokens: 9, completion_tokens: 6 },
    },
  ],
  [
    'with log-probabilities',
    complete({ logprobs: 0, max_tokens: 2 }),
    200,
    choice({
      logprobs: { token_logprobs: [Number, Number], tokens: [String, String], top_logprobs: [Object, Object] },
    }),
  ],
  [
    'without return_token_ids there are no ids',
    complete({ return_token_ids: undefined }),
    200,
    choice({ token_ids: null }),
  ],
  [
    'a stop id ends it and is its last id',
    complete({ stop_token_ids: [EOS], logit_bias: always(EOS) }),
    200,
    choice({ token_ids: [EOS], finish_reason: 'stop', stop_reason: EOS }),
  ],
  [
    'ignore_eos keeps the model’s own stop ids from ending it',
    complete({ stop_token_ids: [EOS], logit_bias: always(MODEL_STOP) }),
    200,
    choice({ token_ids: Array.from({ length: 6 }, () => MODEL_STOP), finish_reason: 'length' }),
  ],
  [
    'which they do without it',
    complete({ ignore_eos: false, logit_bias: always(MODEL_STOP) }),
    200,
    choice({ token_ids: [MODEL_STOP], finish_reason: 'stop', stop_reason: MODEL_STOP }),
  ],
  ['an unknown field is ignored', complete({ nonsense: 1 }), 200, choice({})],
  ['top_k 0 and -1 are no limit', complete({ top_k: -1 }), 200, choice({})],
  ['top_k -2', complete({ top_k: -2 }), 400, refusal('BadRequestError', null, /top_k must be/)],
  [
    'a temperature in words',
    complete({ temperature: 'hot' }),
    400,
    refusal('Bad Request', 'body.temperature', /valid number/),
  ],
  ['no prompt', complete({ prompt: undefined }), 400, refusal('BadRequestError', 'prompt', /must be provided/)],
  ['an empty prompt', complete({ prompt: [] }), 400, refusal('BadRequestError', null, /at least one prompt/)],
  ['half a token', complete({ prompt: [1.5] }), 400, refusal('Bad Request', 'body.prompt.0', /valid integer/)],
  [
    'an id outside the vocabulary',
    complete({ prompt: [5, 900] }),
    400,
    refusal('BadRequestError', null, /Token id 900/),
  ],
  [
    'an over-long prompt',
    complete({ prompt: ids(600) }),
    400,
    refusal('BadRequestError', 'input_tokens', /maximum context length is 512 tokens.*600 input tokens/),
  ],
  [
    'a completion beyond the context',
    complete({ max_tokens: CONTEXT + 1 }),
    400,
    refusal('BadRequestError', 'max_tokens', /max_tokens=513 cannot be greater than max_model_len=512/),
  ],
  [
    'one that does not fit behind the prompt is cut, without a word',
    complete({ max_tokens: CONTEXT, logit_bias: always(5) }),
    200,
    { ...choice({ finish_reason: 'length' }), usage: { completion_tokens: CONTEXT - 3 } },
  ],
  [
    'another model',
    complete({ model: 'other' }),
    404,
    refusal('NotFoundError', 'model', /`other` does not exist/, 404),
  ],
  [
    'something that is not JSON',
    ({ ask }) => ask('POST', '/v1/completions', '{oops'),
    400,
    refusal('Bad Request', 'body.1', /JSON decode error/),
  ],
  ['another path', path('GET', '/nowhere'), 404, { detail: 'Not Found' }],
  ['another method', path('GET', '/v1/completions'), 405, { detail: 'Method Not Allowed' }],
  ['it sleeps', path('POST', '/sleep?level=2'), 200, { status: 'sleeping', level: 2 }],
  ['wakes its weights', path('POST', '/wake_up?tags=weights'), 200, { status: 'sleeping', tags: ['weights'] }],
  ['reloads them', path('POST', '/collective_rpc', { method: 'reload_weights' }), 200, { results: [null] }],
  ['wakes the rest', path('POST', '/wake_up?tags=kv_cache'), 200, { status: 'awake', tags: ['kv_cache'] }],
  ['forgets its cache', path('POST', '/reset_prefix_cache'), 200, { success: true }],
  ['and generates', complete({}), 200, choice({ finish_reason: 'length' })],
  ['a call of nothing', path('POST', '/collective_rpc', {}), 400, refusal('Bad Request', null, /Missing 'method'/)],
]

export const vllmStream: Streamed = {
  path: '/v1/completions',
  body: {
    ...{ model: 'grail', prompt: [5, 6, 7], temperature: 1, ignore_eos: true, max_tokens: 6 },
    ...{ return_token_ids: true, stream: true },
  },
  // Every event has the ids since the one before.
  idsOf: (events: { choices: { token_ids: number[] }[] }[]) => events.flatMap(({ choices }) => choices[0]!.token_ids),
  reason: (event: { choices: { finish_reason: string | null }[] }) => event.choices[0]!.finish_reason,
}

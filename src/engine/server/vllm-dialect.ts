import { basename, join } from 'node:path'
import { z } from 'zod'
import { EngineError } from '../engine.js'
import { type Ask, type Dialect, jsonOf, type Sample, ServerTrouble } from './dialect.js'
import { resolveProgram, serverEnvironment } from './program.js'

// vLLM's OpenAI-compatible server (docs.vllm.ai, "OpenAI-Compatible Server" and "Sleep Mode"; return_token_ids since 0.10.2,
// checked up to 0.32.0).

/** Name of the model in requests: the same for every checkpoint. */
const SERVED_NAME = 'grail'
const RELOAD_MS = 300_000
const ASK_MS = 10_000

/** Of /reset_prefix_cache: older versions answer nothing, newer ones {"success": …}. */
const REFUSED = /^\s*\{\s*"success"\s*:\s*false\b/

const Completion = z.object({
  choices: z
    .array(
      z.object({
        finish_reason: z.string(),
        stop_reason: z.unknown().optional(),
        token_ids: z.array(z.int()).nullish(),
        logprobs: z.object({ token_logprobs: z.array(z.number().nullable()) }).nullish(),
      }),
    )
    .length(1),
})
const Models = z.object({
  data: z
    .array(z.object({ id: z.string(), root: z.string().nullish(), max_model_len: z.int().positive().nullish() }))
    .min(1),
})

async function models(ask: Ask): Promise<z.infer<typeof Models>['data']> {
  return Models.parse(jsonOf(await ask('GET', '/v1/models', undefined, ASK_MS), '/v1/models')).data
}

/**
 * @param inPlace other weights by sleep, reload and wake-up instead of a restart. Needs the server's development mode,
 * in which whoever reaches its port may run code in it, and servers are known that come back from it with wrong weights
 * (vllm-project/vllm issues 29341, 32718); the check after every change finds those.
 */
export function vllmDialect(inPlace: boolean): Dialect {
  return {
    name: 'vllm',
    heldBack: 0,

    launch(template, model, port) {
      // As the command vllm does; the server's own module is to go.
      const resolved = resolveProgram(template.program, 'vllm.entrypoints.cli.main')
      const isVllm = resolved.before.length > 0 || basename(resolved.program) === 'vllm'
      const command = isVllm ? ['serve', model.folder] : ['--model', model.folder]
      const args = [
        ...resolved.before,
        ...command,
        ...['--served-model-name', SERVED_NAME, '--host', '127.0.0.1', '--port', String(port), '--dtype', 'bfloat16'],
        ...['--tensor-parallel-size', String(template.tensorParallel)],
        ...['--gpu-memory-utilization', String(template.memoryShare)],
        ...['--max-model-len', String(template.contextLength), '--max-num-seqs', String(template.sequences)],
        // Without it the checkpoint's generation_config.json would fill in what a request leaves open.
        ...['--generation-config', 'vllm', ...(inPlace ? ['--enable-sleep-mode'] : [])],
        ...template.extraArgs,
      ]
      const env = {
        ...template.env,
        ...serverEnvironment(template.cacheFolder),
        VLLM_CACHE_ROOT: join(template.cacheFolder, 'vllm'),
        VLLM_NO_USAGE_STATS: '1',
        ...(inPlace && { VLLM_SERVER_DEV_MODE: '1' }),
      }
      return { program: resolved.program, args, env }
    },

    async sample(ask, { id, promptIds, generation, eosTokenId, logprobs }): Promise<Sample> {
      const path = '/v1/completions'
      const answer = await ask('POST', path, {
        model: SERVED_NAME,
        request_id: id,
        prompt: Array.from(promptIds),
        max_tokens: generation.maxTokens,
        temperature: generation.temperature,
        top_p: generation.topP,
        top_k: generation.topK > 0 ? generation.topK : -1,
        min_p: 0,
        repetition_penalty: generation.repetitionPenalty,
        n: 1,
        stream: false,
        // The model's own list of stop ids is ignored; the tokenizer's EOS is the only one.
        ignore_eos: true,
        stop_token_ids: [eosTokenId],
        return_token_ids: true,
        skip_special_tokens: false,
        ...(logprobs && { logprobs: 0 }),
      })
      const parsed = Completion.safeParse(jsonOf(answer, path))
      if (!parsed.success) throw new ServerTrouble(`${path} answered nonsense: ${z.prettifyError(parsed.error)}`)
      const choice = parsed.data.choices[0]!
      if (!choice.token_ids)
        throw new EngineError('the server returned no token ids: vLLM 0.10.2 or later is needed', 'never')
      if (choice.finish_reason !== 'stop' && choice.finish_reason !== 'length')
        throw new ServerTrouble(`the server ended the request: ${choice.finish_reason}`)
      if (choice.finish_reason === 'stop' && choice.stop_reason !== eosTokenId)
        throw new EngineError(
          `a completion was stopped by ${JSON.stringify(choice.stop_reason)}, which is not its EOS`,
          'never',
        )
      return {
        ids: Int32Array.from(choice.token_ids),
        logprobs: (choice.logprobs?.token_logprobs ?? []).map(logprob => logprob ?? Number.NaN),
      }
    },

    async longest(ask) {
      return (await models(ask))[0]?.max_model_len ?? undefined
    },

    async served(ask) {
      const [model] = await models(ask)
      if (model?.id !== SERVED_NAME)
        throw new EngineError(
          `the server serves "${model?.id}": start it with --served-model-name ${SERVED_NAME}`,
          'never',
        )
      return { folder: model.root ?? '' }
    },

    ...(inPlace &&
      ({
        // The model path of the server is a link that by now leads to the new weights.
        async reload(ask) {
          const steps: [path: string, body?: unknown][] = [
            ['/sleep?level=2'],
            ['/wake_up?tags=weights'],
            ['/collective_rpc', { method: 'reload_weights' }],
            ['/wake_up?tags=kv_cache'],
            ['/reset_prefix_cache'],
          ]
          for (const [path, body] of steps) {
            const { status, text } = await ask('POST', path, body, RELOAD_MS)
            // A cache that is still in use is not reset, and only the answer says so.
            if (status !== 200 || REFUSED.test(text))
              throw new ServerTrouble(`${path} answered ${status}: ${text.slice(0, 300)}`)
          }
        },
      } satisfies Pick<Dialect, 'reload'>)),
  }
}

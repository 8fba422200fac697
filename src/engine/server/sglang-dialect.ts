import { z } from 'zod'
import { EngineError } from '../engine.js'
import { type Ask, type Dialect, jsonOf, OtherWeights, type Sample, ServerTrouble } from './dialect.js'
import { resolveProgram, serverEnvironment } from './program.js'

// SGLang's own HTTP (docs.sglang.io, "SGLang Native APIs" and "SGLang for RL Systems"; sglang 0.5.4 to 0.5.23).

/** Some GB from a disk into a running server (one-covenant/grail mining/weight_sync.py allows 300 s, 54d6342). */
const RELOAD_MS = 300_000
const ASK_MS = 10_000
const ABORT_MS = 5_000
/**
 * Its scheduler leaves one token of the context length unused and one more for each request, and lowers max_new_tokens
 * to that without a word (sgl-project/sglang srt/managers/tp_worker.py and scheduler.py, 0.5.23).
 */
const HELD_BACK = 2
const NOT_FOUND = 404

const Generated = z.object({
  output_ids: z.array(z.int()),
  meta_info: z.object({
    finish_reason: z.object({
      type: z.string(),
      matched: z.unknown().optional(),
      message: z.string().nullish(),
    }),
    weight_version: z.string().nullish(),
    /** [log-probability, id, text or null] per id. */
    output_token_logprobs: z.array(z.tuple([z.number(), z.int()], z.unknown())).nullish(),
  }),
})
const Updated = z.object({ success: z.boolean(), message: z.string().nullish() })
/** max_req_input_len: what a prompt may have; some tokens less than prompt and completion together. */
const ServerInfo = z.object({ max_req_input_len: z.int().positive().nullish() })
const ModelInfo = z.object({ model_path: z.string(), weight_version: z.string().nullish() })

/** Versions before 0.5.6 know it by its older name only, which is to go. */
async function infoOf(ask: Ask, name: 'model_info' | 'server_info'): Promise<unknown> {
  const answer = await ask('GET', `/${name}`, undefined, ASK_MS)
  if (answer.status !== NOT_FOUND) return jsonOf(answer, `/${name}`)
  return jsonOf(await ask('GET', `/get_${name}`, undefined, ASK_MS), `/get_${name}`)
}

export const sglangDialect: Dialect = {
  name: 'sglang',
  heldBack: HELD_BACK,

  launch(template, model, port) {
    const { program, before } = resolveProgram(template.program, 'sglang.launch_server')
    const args = [
      ...before,
      ...['--model-path', model.folder, '--host', '127.0.0.1', '--port', String(port), '--dtype', 'bfloat16'],
      ...['--tp-size', String(template.tensorParallel), '--mem-fraction-static', String(template.memoryShare)],
      ...['--context-length', String(template.contextLength), '--max-running-requests', String(template.sequences)],
      // Without it the checkpoint's generation_config.json would fill in what a request leaves open.
      ...['--sampling-defaults', 'openai', '--weight-version', model.version],
      ...template.extraArgs,
    ]
    return { program, args, env: { ...template.env, ...serverEnvironment(template.cacheFolder) } }
  },

  async sample(ask, { id, promptIds, generation, eosTokenId, logprobs, version }): Promise<Sample> {
    const answer = await ask('POST', '/generate', {
      rid: id,
      input_ids: Array.from(promptIds),
      sampling_params: {
        max_new_tokens: generation.maxTokens,
        temperature: generation.temperature,
        top_p: generation.topP,
        top_k: generation.topK > 0 ? generation.topK : -1,
        min_p: 0,
        repetition_penalty: generation.repetitionPenalty,
        stop_token_ids: [eosTokenId],
        skip_special_tokens: false,
      },
      stream: false,
      ...(logprobs && { return_logprob: true }),
    })
    const parsed = Generated.safeParse(jsonOf(answer, '/generate'))
    if (!parsed.success) throw new ServerTrouble(`/generate answered nonsense: ${z.prettifyError(parsed.error)}`)
    const { output_ids, meta_info } = parsed.data
    const { type, matched, message } = meta_info.finish_reason
    if (type === 'abort') throw new ServerTrouble(`the server aborted the request: ${message ?? 'no reason given'}`)
    // After a NaN the server puts a stop id in place of the last token and says so only here.
    if (type === 'stop' && matched !== eosTokenId)
      throw new EngineError(`a completion was stopped by ${JSON.stringify(matched)}, which is not its EOS`, 'never')
    const held = meta_info.weight_version
    if (typeof held === 'string' && held !== version)
      throw new OtherWeights(`the server answered with weights "${held}", wanted are "${version}"`)
    return {
      ids: Int32Array.from(output_ids),
      logprobs: (meta_info.output_token_logprobs ?? []).map(([logprob]) => logprob),
    }
  },

  // Hanging up alone is noticed late: the server looks at the connection every few seconds.
  async abort(ask, ids) {
    await Promise.all(ids.map(rid => ask('POST', '/abort_request', { rid }, ABORT_MS)))
  },

  async longest(ask) {
    return ServerInfo.parse(await infoOf(ask, 'server_info')).max_req_input_len ?? undefined
  },

  async served(ask) {
    const info = ModelInfo.parse(await infoOf(ask, 'model_info'))
    return {
      folder: info.model_path,
      ...(typeof info.weight_version === 'string' && { version: info.weight_version }),
    }
  },

  async reload(ask, { folder, version }) {
    const path = '/update_weights_from_disk'
    const body = { model_path: folder, weight_version: version, flush_cache: true, abort_all_requests: true }
    const { success, message } = Updated.parse(jsonOf(await ask('POST', path, body, RELOAD_MS), path))
    if (!success) throw new EngineError(`the server did not take the new weights: ${message ?? 'no reason'}`, 'never')
    // What was computed with the old weights must not be continued with the new ones.
    const flushed = await ask('POST', '/flush_cache', undefined, ASK_MS)
    if (flushed.status !== 200) throw new ServerTrouble(`/flush_cache answered ${flushed.status}: ${flushed.text}`)
  },
}

import { type Engine, EngineError } from './engine.js'
import { type ServedOptions, servedEngine } from './served.js'
import { vllmDialect } from './server/vllm-dialect.js'

export interface VllmOptions extends ServedOptions {
  /**
   * How weights are changed: 'restart' (default) is slow and sure; 'reload' puts them into the running server, which then
   * runs in vLLM's development mode.
   */
  weights?: 'restart' | 'reload'
}

/** Generation by vLLM (0.10.2 or later) over its completions of token ids; proofs by Python workers. */
export function vllmEngine({ weights = 'restart', ...options }: VllmOptions): Engine {
  if (options.attach && weights === 'reload')
    throw new EngineError(
      'a vLLM server that is attached to loads its own weights: leave out weights = "reload"',
      'never',
    )
  return servedEngine(vllmDialect(weights === 'reload'), options)
}

import type { Engine } from './engine.js'
import { type ServedOptions, servedEngine } from './served.js'
import { sglangDialect } from './server/sglang-dialect.js'

export type SglangOptions = ServedOptions

/** Generation by SGLang (0.5.4 or later) over its native /generate, weights changed in place; proofs by Python workers. */
export function sglangEngine(options: SglangOptions): Engine {
  return servedEngine(sglangDialect, options)
}

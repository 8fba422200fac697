import type { Engine } from './engine.js'
import { type RehearsalOptions, rehearsalEngine } from './rehearsal.js'
import { type SglangOptions, sglangEngine } from './sglang.js'
import { type TransformersOptions, transformersEngine } from './transformers.js'
import { type VllmOptions, vllmEngine } from './vllm.js'

export type { Engine, EngineStatus, GroupReply, GroupRequest, VerifyReply, VerifyRequest } from './engine.js'
export { EngineError } from './engine.js'

/** What each engine takes, by its name. */
export interface EngineOptions {
  rehearsal: RehearsalOptions
  transformers: TransformersOptions
  sglang: SglangOptions
  vllm: VllmOptions
}

export type EngineName = keyof EngineOptions

const ENGINES: { [Name in EngineName]: (options: EngineOptions[Name]) => Engine } = {
  rehearsal: rehearsalEngine,
  transformers: transformersEngine,
  sglang: sglangEngine,
  vllm: vllmEngine,
}

/** The names an inventory may give. */
export const engineNames = Object.keys(ENGINES) as EngineName[]

/** The engine called `name`; nothing is started before its start(). @throws EngineError 'never' when it cannot serve the profile */
export function openEngine<Name extends EngineName>(name: Name, options: EngineOptions[Name]): Engine {
  return ENGINES[name](options)
}

import type { Profile } from '../protocol/profile.js'
import type { ModelFacts } from '../window/group.js'
import type { GroupRequest, VerifyRequest } from './engine.js'
import { EngineError } from './engine.js'

/** Most completions an engine takes on in one batch; a protocol group has 16. */
const MOST_COMPLETIONS = 64

function checkCommon(
  request: GroupRequest | VerifyRequest,
  facts: ModelFacts | undefined,
  profile: Profile,
): ModelFacts {
  if (!facts) throw new EngineError('no checkpoint is loaded yet: wait for load()', 'later', { retryAfterMs: 1_000 })
  if (request.profile !== profile.id)
    throw new EngineError(
      `asked for protocol profile "${request.profile}", but this engine proves for "${profile.id}"`,
      'never',
    )
  if (request.checkpointWindow !== facts.checkpointWindow)
    throw new EngineError(
      `asked for checkpoint ${request.checkpointWindow}, but ${facts.checkpointWindow} is loaded: load() the other one first`,
      'never',
    )
  if (request.coefficients.length !== profile.topk)
    throw new EngineError(
      `${request.coefficients.length} coefficients given, profile "${profile.id}" needs ${profile.topk}`,
      'never',
    )
  return facts
}

function checkIds(name: string, ids: Int32Array, vocabSize: number): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!
    if (id < 0 || id >= vocabSize)
      throw new EngineError(`${name}[${i}] = ${id} is outside the vocabulary of ${vocabSize} tokens`, 'never')
  }
}

/**
 * Refuses what no engine can do for this request, before any work: the same refusals by every engine.
 * max_tokens is never cut to fit: a completion that stops at another length without EOS fails the validator's
 * termination check, so a prompt that leaves too little room is refused (one-covenant/grail
 * grail/environments/backends/sglang.py:62-235, 54d6342).
 * @returns the facts of the loaded model
 * @throws EngineError 'later' when nothing is loaded, 'deadline' when it has passed, else 'never'
 */
export function checkGroupRequest(
  request: GroupRequest,
  facts: ModelFacts | undefined,
  profile: Profile,
  nowMs: number,
): ModelFacts {
  const model = checkCommon(request, facts, profile)
  const { maxTokens } = request.generation
  if (!(request.groupSize >= 1 && request.groupSize <= MOST_COMPLETIONS))
    throw new EngineError(`group size ${request.groupSize} is not between 1 and ${MOST_COMPLETIONS}`, 'never')
  if (request.promptIds.length === 0) throw new EngineError('the prompt is empty', 'never')
  if (!(maxTokens >= profile.minCompletion && maxTokens <= profile.maxNewTokens))
    throw new EngineError(
      `max_tokens ${maxTokens} is not between the profile's ${profile.minCompletion} and ${profile.maxNewTokens}`,
      'never',
    )
  if (request.promptIds.length + maxTokens > model.maxPositions)
    throw new EngineError(
      `a prompt of ${request.promptIds.length} tokens and max_tokens ${maxTokens} exceed the model's ${model.maxPositions} positions`,
      'never',
    )
  checkIds('promptIds', request.promptIds, model.vocabSize)
  if (nowMs >= request.deadlineMs) throw new EngineError('the deadline has passed', 'deadline')
  return model
}

/** The same for a replay. @throws EngineError as checkGroupRequest */
export function checkVerifyRequest(
  request: VerifyRequest,
  facts: ModelFacts | undefined,
  profile: Profile,
): ModelFacts {
  const model = checkCommon(request, facts, profile)
  const { tokens, promptLength } = request
  if (!(promptLength >= 1 && promptLength < tokens.length))
    throw new EngineError(`prompt length ${promptLength} leaves no completion in ${tokens.length} tokens`, 'never')
  if (tokens.length > model.maxPositions)
    throw new EngineError(`${tokens.length} tokens exceed the model's ${model.maxPositions} positions`, 'never')
  checkIds('tokens', tokens, model.vocabSize)
  return model
}

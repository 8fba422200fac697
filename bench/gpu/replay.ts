import { difference } from '../../src/engine/canary.js'
import type { GroupReply, GroupRequest, VerifyReply, VerifyRequest } from '../../src/engine/engine.js'
import { logprobVerdict } from '../../src/protocol/logprob-check.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { sketchDistance, sketchTolerance } from '../../src/protocol/tolerance.js'

export type Verify = (request: VerifyRequest, signal: AbortSignal) => Promise<VerifyReply>

export interface Replayed {
  /** Share of the group's sequences whose sketches and log-probabilities were repeated bit for bit, in the shape they were proved in. */
  exact: number
  /**
   * The same sequences read whole, each in a forward of its own without padding, as a validator that batches otherwise sees
   * them: the largest difference of a sketch and of a sequence's log-probabilities, in parts of what the validator allows.
   */
  sketchApart: number
  logprobApart: number
}

const never = new AbortController().signal

/** Replays every sequence of a group, once as it was proved and once read whole, by itself. */
export async function replay(verify: Verify, request: GroupRequest, group: GroupReply): Promise<Replayed> {
  const { promptIds } = request
  const { completions, proofRows: rows } = group
  const lengths = completions.map(({ completionIds }) => promptIds.length + completionIds.length)
  let exact = 0
  let sketchApart = 0
  let logprobApart = 0
  for (const [at, { completionIds, sketches, logprobs }] of completions.entries()) {
    const tokens = Int32Array.from([...promptIds, ...completionIds])
    const sequence = { ...request, tokens, promptLength: promptIds.length }
    const again = await verify({ ...sequence, group: { lengths, at, rows } }, never)
    if (difference(again.sketches, sketches) < 0 && difference(again.logprobs, logprobs) < 0) exact++
    const alone = await verify({ ...sequence, whole: true }, never)
    for (const [position, sketch] of sketches.entries()) {
      const distance = sketchDistance(sketch, alone.sketches[position]!)
      sketchApart = Math.max(sketchApart, distance / sketchTolerance(GRAIL_V5, position))
    }
    const { measure, limit } = logprobVerdict(GRAIL_V5, alone.logprobs, logprobs)
    logprobApart = Math.max(logprobApart, measure / limit)
  }
  return { exact: exact / completions.length, sketchApart, logprobApart }
}

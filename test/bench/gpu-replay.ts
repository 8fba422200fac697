import t from 'tap'
import { replay, type Verify } from '../../bench/gpu/replay.js'
import type { GroupReply, GroupRequest } from '../../src/engine/engine.js'
import { PRIME_Q } from '../../src/protocol/profile.js'

const request: GroupRequest = {
  profile: 'grail-v5',
  checkpointWindow: 30,
  promptIds: Int32Array.of(1, 2),
  groupSize: 2,
  generation: { maxTokens: 2, temperature: 1, topP: 1, topK: 0, repetitionPenalty: 1 },
  coefficients: new Int8Array(16),
  deadlineMs: 0,
  seed: 0,
}
const distribution = { median: 1, q10: 1, q10Initial: 1, min: 1 } as never
const completion = (ids: number[], sketches: number[], logprobs: number[]) =>
  ({
    completionIds: Int32Array.from(ids),
    sketches: Int32Array.from(sketches),
    logprobs: Float32Array.from(logprobs),
    distribution,
  }) as never
const group = {
  completions: [completion([3, 4], [0, 10, 20, 30], [-1, -2]), completion([5], [1, 2, 3], [-3])],
  proofRows: 16,
} as never as GroupReply

/** Answers what the group says, with `change` made where it is read whole, or where it is not. */
function verifier(
  where: 'read whole' | 'same shape' | 'nowhere',
  change: { sketch?: number; logprob?: number },
): Verify {
  return async ({ tokens, group: place, whole }) => {
    const { sketches, logprobs } = group.completions[tokens.length === 4 ? 0 : 1]!
    if (whole) t.equal(place, undefined)
    else t.same(place, { lengths: [4, 3], at: tokens.length === 4 ? 0 : 1, rows: 16 })
    const changed = where === (whole ? 'read whole' : 'same shape') && tokens.length === 4
    const sketch = (value: number, at: number) => (changed && at === 0 ? (change.sketch ?? value) : value)
    const logprob = (value: number) => (changed ? value + (change.logprob ?? 0) : value)
    return { sketches: sketches.map(sketch), logprobs: logprobs.map(logprob), eosProbability: 1, distribution }
  }
}

t.test('a group is replayed as it was proved, which has to be exact, and read whole, which may differ', async t => {
  const close = Math.expm1(0.05) / 0.1
  const cases: [title: string, verify: Verify, exact: number, sketchApart: number, logprobApart: number][] = [
    ['nothing differs', verifier('nowhere', {}), 1, 0, 0],
    ['one sequence of two, as it was proved', verifier('same shape', { sketch: 1 }), 0.5, 0, 0],
    ['a sketch read whole, of 6,000 allowed', verifier('read whole', { sketch: 600 }), 1, 0.1, 0],
    ['the shorter way around', verifier('read whole', { sketch: PRIME_Q - 300 }), 1, 0.05, 0],
    ['log-probabilities, of 10 % allowed', verifier('read whole', { logprob: 0.05 }), 1, 0, close],
  ]
  for (const [title, verify, exact, sketchApart, logprobApart] of cases) {
    const found = await replay(verify, request, group)
    t.equal(found.exact, exact, title)
    t.equal(found.sketchApart, sketchApart, title)
    t.ok(Math.abs(found.logprobApart - logprobApart) < 1e-5, `${title}: ${found.logprobApart}`)
  }
})

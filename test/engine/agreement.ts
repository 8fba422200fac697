import t from 'tap'
import type { GroupReply, GroupRequest } from '../../src/engine/engine.js'
import { agree } from '../../src/engine/server/agreement.js'
import { type Dialect, OtherWeights } from '../../src/engine/server/dialect.js'
import { sglangDialect } from '../../src/engine/server/sglang-dialect.js'
import { vllmDialect } from '../../src/engine/server/vllm-dialect.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import type { Completion, ModelFacts } from '../../src/window/group.js'

// Server and proof worker must hold the same weights before a group is asked for: by the worker's hash, by the version the
// server reports where it does, and by the log-probabilities both give the same tokens.

const HASH = 'a'.repeat(32)
const facts: ModelFacts = {
  checkpointWindow: 900,
  modelName: 'tiny',
  weightsHash: HASH,
  eosTokenId: 2,
  vocabSize: 259,
  maxPositions: 512,
}
const VERSION = `900/${HASH}`
const IDS = Int32Array.from({ length: 32 }, (_, i) => 3 + i)
const LOGPROB = -1.5

/** What the server answers /generate or /v1/completions: its ids, how it rates them, and the weights it says it has. */
interface Served {
  logprobs?: number[]
  version?: string
  ids?: number[]
}

const answers: Record<string, (served: Served) => unknown> = {
  sglang: ({ logprobs = [], ids = [], version }) => ({
    output_ids: ids,
    meta_info: {
      finish_reason: { type: 'length' },
      ...(version === undefined ? {} : { weight_version: version }),
      output_token_logprobs: logprobs.map((logprob, i) => [logprob, ids[i] ?? 0, null]),
    },
  }),
  vllm: ({ logprobs = [], ids = [] }) => ({
    choices: [{ finish_reason: 'length', token_ids: ids, logprobs: { token_logprobs: logprobs } }],
  }),
}
const dialects: Record<string, Dialect> = { sglang: sglangDialect, vllm: vllmDialect(false) }

/** The worker's proof of what it was given: these log-probabilities for every token. */
const proofOf = (ids: readonly Int32Array[], logprob: number, weightsHash: string): GroupReply => ({
  model: { ...facts, weightsHash },
  proofRows: 1,
  seconds: { generate: 0, prove: 0 },
  completions: ids.map(
    completionIds => ({ completionIds, logprobs: new Float32Array(completionIds.length).fill(logprob) }) as Completion,
  ),
})

for (const [name, dialect] of Object.entries(dialects))
  t.test(name, async t => {
    const right = { ids: [...IDS], logprobs: [...IDS].map(() => LOGPROB), version: VERSION }
    const check = (served: Served, proof: { logprob?: number; weightsHash?: string } = {}) => {
      const asked: GroupRequest[] = []
      const done = agree({
        dialect,
        profile: GRAIL_V5,
        ask: async () => ({ status: 200, text: JSON.stringify(answers[name]!({ ...right, ...served })) }),
        facts,
        version: VERSION,
        async prove(request, completions) {
          asked.push(request)
          return proofOf(completions, proof.logprob ?? LOGPROB, proof.weightsHash ?? HASH)
        },
      })
      return { done, asked }
    }

    const well = check({})
    await t.resolves(well.done, 'both hold the weights of the checkpoint')
    t.match(well.asked, [{ checkpointWindow: 900, groupSize: 4 }], 'the worker was asked for proofs of the same ids')
    await t.resolves(check({}, { logprob: LOGPROB - 0.01 }).done, 'two forwards may differ by a little')

    const mismatches: [
      title: string,
      served: Served,
      proof: { logprob?: number; weightsHash?: string },
      why: RegExp,
    ][] = [
      ['the worker reports another hash', {}, { weightsHash: 'b'.repeat(32) }, /proof worker holds other weights/],
      ['the worker reports no hash', {}, { weightsHash: '' }, /proof worker holds other weights/],
      [
        'they rate the same tokens differently',
        { logprobs: [...IDS].map(() => LOGPROB - 1) },
        {},
        /does not generate with the weights of checkpoint 900 \(a{32}\): its log-probabilities are off by/,
      ],
    ]
    if (name === 'sglang')
      mismatches.push([
        'the server says that it has others',
        { version: `870/${HASH}` },
        {},
        /answered with weights "870\/a{32}", wanted are "900\/a{32}"/,
      ])
    for (const [title, served, proof, message] of mismatches) {
      const error: unknown = await check(served, proof).done.catch((thrown: unknown) => thrown)
      t.match(error, { next: 'never', message }, title)
      t.ok(error instanceof OtherWeights, 'nothing is made until the next load')
    }

    const unknown: [title: string, served: Served][] = [
      ['no log-probabilities', { logprobs: [] }],
      ['no ids', { ids: [], logprobs: [] }],
      ['ids of no vocabulary', { ids: [...IDS].map(() => 259) }],
    ]
    for (const [title, served] of unknown)
      await t.rejects(check(served).done, { name: 'EngineError', next: 'never' }, `${title}: it cannot be checked`)
  })

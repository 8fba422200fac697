import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { GroupReply, GroupRequest } from '../../src/engine/engine.js'
import { call } from '../../src/engine/transformers/call.js'
import { startWorker } from '../../src/engine/transformers/child.js'
import {
  Facts,
  Group,
  groupBody,
  Proof,
  proveBody,
  verifyBody,
  weightsBody,
} from '../../src/engine/transformers/wire.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { cpuWorker, tinyCheckpoint, tinyRequest } from '../helpers/tiny-model.js'
import { workerPythonAbsent } from '../helpers/worker-python.js'

t.setTimeout(240_000)

await t.test('proofs of completions that another program made', { skip: workerPythonAbsent }, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'prove-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  // Long enough that, of 16 completions, one meets EOS before: once in some 200 tokens.
  const generation = { maxTokens: 200, temperature: 1.5, topP: 1, topK: 0, repetitionPenalty: 1.1 }
  const checkpoint = await tinyCheckpoint(join(folder, 'tiny'), { seed: 3, generation })
  const request = tinyRequest({ generation })
  const limits = { timeoutMs: 120_000, signal: new AbortController().signal }

  const provedEarlier: GroupReply[] = []
  // One sequence per forward, and several with padding: both ways through the prover.
  for (const proofRows of [1, 6]) {
    const worker = await startWorker({ profile: GRAIL_V5, ...cpuWorker, proofRows }, limits.signal)
    t.teardown(() => worker.stop())
    const prove = (completions: Int32Array[], changes: Partial<GroupRequest> = {}) =>
      call(worker, 'POST', '/v1/prove', proveBody({ ...request, ...changes }, completions), Group, limits)
    await t.rejects(prove([Int32Array.of(5)]), { name: 'EngineError', next: 'later' }, 'without a checkpoint: later')
    const facts = await call(worker, 'POST', '/v1/weights', weightsBody(checkpoint), Facts, limits)
    const group = await call(worker, 'POST', '/v1/group', groupBody(request), Group, limits)
    const ids = group.completions.map(({ completionIds }) => completionIds)
    t.ok(new Set(ids.map(({ length }) => length)).size > 1, 'completions of several lengths')
    const proved = await prove(ids)
    t.strictSame(
      proved.completions,
      group.completions,
      `${proofRows} rows: are bit for bit those of a group of its own`,
    )
    t.strictSame(proved.model, facts, 'and say which weights proved them')
    t.equal(proved.seconds.generate, 0, 'nothing was generated')
    t.same([proved.proofRows, group.proofRows], [proofRows, proofRows], 'and how many were proved at once')

    provedEarlier.push(proved)
    for (const { completions, proofRows: rows } of provedEarlier) {
      const sequences = completions.map(one => Int32Array.from([...request.promptIds, ...one.completionIds]))
      const lengths = sequences.map(({ length }) => length)
      for (const [at, tokens] of sequences.entries()) {
        const asked = { ...request, tokens, promptLength: request.promptIds.length, group: { lengths, at, rows } }
        const again = await call(worker, 'POST', '/v1/verify', verifyBody(asked), Proof, limits)
        const { sketches, logprobs } = completions[at]!
        t.same([again.sketches, again.logprobs], [sketches, logprobs], `${rows} rows: number ${at} is repeated exactly`)
      }
    }

    const cases: [
      title: string,
      completions: Int32Array[],
      changes: Partial<GroupRequest>,
      next: 'never' | 'deadline',
    ][] = [
      ['no completions', [], {}, 'never'],
      ['an empty completion', [new Int32Array()], {}, 'never'],
      ['an id outside the vocabulary', [Int32Array.of(5, facts.vocabSize)], {}, 'never'],
      ['more tokens than the model has positions', [new Int32Array(facts.maxPositions - 49).fill(5)], {}, 'never'],
      ['another checkpoint', ids, { checkpointWindow: 60 }, 'never'],
      ['another profile', ids, { profile: 'fork-v1' }, 'never'],
      ['a deadline in the past', ids, { deadlineMs: Date.now() - 1 }, 'deadline'],
    ]
    for (const [title, completions, changes, next] of cases)
      await t.rejects(prove(completions, changes), { name: 'EngineError', next }, `${title} → ${next}`)
    await worker.stop()
  }
})

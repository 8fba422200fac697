import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { canary } from '../../src/engine/canary.js'
import { type Engine, EngineError, type VerifyReply, type VerifyRequest } from '../../src/engine/engine.js'
import { rehearsalCheckpoint } from '../../src/engine/rehearsal/checkpoint.js'
import { rehearsalEngine } from '../../src/engine/rehearsal.js'
import { packageRoot } from '../../src/package-root.js'
import { GRAIL_V5, PRIME_Q } from '../../src/protocol/profile.js'

const never = new AbortController().signal
const folder = await mkdtemp(join(tmpdir(), 'canary-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

const generation = { maxTokens: 700, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 }
const checkpoint = await rehearsalCheckpoint({
  folder: join(folder, 'checkpoint'),
  tokenizerFolder: join(packageRoot, 'node_modules', '@lenml', 'tokenizer-qwen2_5', 'models'),
  window: 60,
  environment: 'gsm8k',
  environmentParams: { split: 'test' },
  generation,
  thinkingMode: 'instructed',
})
const engine = rehearsalEngine()
await engine.start(checkpoint, never)
t.teardown(() => engine.close())

const options = {
  profile: GRAIL_V5,
  checkpointWindow: 60,
  generation,
  promptIds: Int32Array.from({ length: 120 }, (_, i) => 1_000 + 31 * i),
  coefficients: Int8Array.from({ length: 16 }, (_, j) => 17 * j - 127),
  deadlineMs: Number.MAX_SAFE_INTEGER,
}

/** The engine, whose replays are changed by `change`. */
function replaying(change: (reply: VerifyReply, request: VerifyRequest) => VerifyReply): Engine {
  return { ...engine, verify: async (request, signal) => change(await engine.verify(request, signal), request) }
}

const shifted = (sketches: Int32Array, by: number): Int32Array =>
  sketches.map((sketch, at) => (at === 5 ? (sketch + by + PRIME_Q) % PRIME_Q : sketch))
const off = (logprobs: Float32Array, by: number): Float32Array => logprobs.map(logprob => logprob + by)

t.test('a canary sings where every proof is repeated, and what is read whole is what a validator accepts', async t => {
  const cases: [title: string, change: Parameters<typeof replaying>[0], reason: RegExp | undefined][] = [
    ['nothing differs', reply => reply, undefined],
    [
      'a replayed sketch by one',
      (reply, { whole }) => (whole ? reply : { ...reply, sketches: shifted(reply.sketches, 1) }),
      /sketch of completion 0, position 5 of \d+, is .* when replayed/,
    ],
    [
      'a replayed log-probability in its last bits',
      (reply, { whole }) => (whole ? reply : { ...reply, logprobs: off(reply.logprobs, 1e-6) }),
      /log-probability of completion 0, token \d+, is .* when replayed/,
    ],
    [
      'read whole, sketches and log-probabilities by rounding',
      (reply, { whole }) =>
        whole ? { ...reply, sketches: shifted(reply.sketches, -900), logprobs: off(reply.logprobs, 0.05) } : reply,
      undefined,
    ],
    [
      'read whole, a sketch by more than a validator allows',
      (reply, { whole }) => (whole ? { ...reply, sketches: shifted(reply.sketches, 6_100) } : reply),
      /sketch of completion 0, position 5 of \d+, is .* read whole: further apart than a validator allows/,
    ],
    [
      'read whole, log-probabilities by more than a validator allows',
      (reply, { whole }) => (whole ? { ...reply, logprobs: off(reply.logprobs, 0.2) } : reply),
      /log-probabilities of completion 0 are off by 0\.221 when the sequence is read whole, and a validator allows 0\.1/,
    ],
    [
      'read whole, the last of the group alone',
      (() => {
        let read = 0
        return (reply: VerifyReply, { whole }: VerifyRequest) =>
          whole && ++read === 2 ? { ...reply, logprobs: off(reply.logprobs, Number.NaN) } : reply
      })(),
      /log-probabilities of completion 15 are off by NaN/,
    ],
  ]
  for (const [title, change, reason] of cases) {
    const verdict = await canary(replaying(change), options, never)
    t.equal(verdict.ok, reason === undefined, title)
    if (reason) t.match(verdict, { reason }, title)
  }
})

t.test('a canary that cannot be asked says so', async t => {
  const broken: Engine = {
    ...engine,
    verify: () => Promise.reject(new EngineError('the card is gone', 'later')),
  }
  t.match(await canary(broken, options, never), { ok: false, reason: /could be made and replayed: the card is gone/ })
  t.match(await canary(engine, { ...options, coefficients: new Int8Array(16) }, never), {
    ok: false,
    reason: /any sketch would pass/,
  })
})

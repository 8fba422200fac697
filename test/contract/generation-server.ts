import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { SampleRequest } from '../../src/engine/server/dialect.js'
import { sglangDialect } from '../../src/engine/server/sglang-dialect.js'
import { CONTEXT, dialects, EOS, MODEL_STOP, startTarget } from '../helpers/generation-target.js'
import { type Answer, eventsOf } from '../helpers/raw-http.js'
import { REAL_START_MS, realServer, realServerAbsent } from '../helpers/real-server.js'
import { sglangQuestions, sglangStream } from '../helpers/sglang-questions.js'
import { vllmQuestions, vllmStream } from '../helpers/vllm-questions.js'
import { workerPythonAbsent } from '../helpers/worker-python.js'

// What SGLang and vLLM answer over HTTP, asked of the process that stands in for them in other tests, and of the real ones
// where somebody names them: the stand-in can only be trusted as far as both give the same answers.

t.setTimeout(realServer('sglang') || realServer('vllm') ? 4 * REAL_START_MS : 60_000)

const folder = await mkdtemp(join(tmpdir(), 'generation-server-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

const questions = { sglang: sglangQuestions, vllm: vllmQuestions }
const streams = { sglang: sglangStream, vllm: vllmStream }

for (const name of ['sglang', 'vllm'] as const)
  for (const real of [false, true]) {
    const skip = real && (realServer(name) ? workerPythonAbsent : realServerAbsent(name))
    await t.test(`${real ? 'a real' : 'what stands in for'} ${name}`, { skip }, async t => {
      if (real) t.setTimeout(2 * REAL_START_MS)
      const target = await startTarget(name, real, folder)
      t.teardown(() => target.close())

      for (const [title, ask, status, like] of questions[name]) {
        const answer = await ask(target)
        t.equal(answer.status, status, title)
        t.match(like instanceof RegExp ? answer.text : JSON.parse(answer.text), like, `… ${title}: what is answered`)
      }

      await t.test('a stream', async t => {
        const { path, body, idsOf, reason } = streams[name]
        const answer = await target.ask('POST', path, body)
        t.match(answer, { status: 200, type: /^text\/event-stream/ })
        const events = eventsOf(answer.text) as never[]
        t.equal(idsOf(events).length, 6, 'has all ids')
        t.same(
          events.slice(0, -1).map(reason),
          events.slice(0, -1).map(() => null),
          'has no reason to end before its end',
        )
        t.equal(reason(events.at(-1)!), 'length')
        t.match(answer.text, /\n\ndata: \[DONE\]\n\n$/, 'and says that it is over')
      })

      await t.test('a request nobody waits for', async t => {
        const { path, body, idsOf, reason } = streams[name]
        const tokens = CONTEXT - 10
        const long = { ...body, max_tokens: tokens, sampling_params: { ignore_eos: true, max_new_tokens: tokens } }
        target.hold(true)
        let seen = 0
        let aborted: Promise<Answer> | undefined
        const answer = await target.ask('POST', path, long, () => {
          if (seen++ > 0) return
          // vLLM has no other means than to hang up.
          if (name === 'vllm') return 'hang up'
          aborted = target.ask('POST', '/abort_request', { rid: 'stream' })
          return undefined
        })
        target.hold(false)
        t.ok(idsOf(eventsOf(answer.text) as never[]).length < tokens, 'is not finished')
        if (name === 'sglang') {
          t.equal((await aborted)!.status, 200)
          t.equal(reason((eventsOf(answer.text) as never[]).at(-1)!), 'abort', 'and says so')
        }
        t.equal((await target.ask('POST', path, { ...body, rid: 'next' })).status, 200, 'and the next one is answered')
      })

      await t.test('what the engine asks', async t => {
        const { checkpoints, dialectAsk } = target
        const version = '60/second'
        const request: SampleRequest = {
          id: 'sample',
          promptIds: Int32Array.of(5, 6, 7),
          generation: { maxTokens: 8, temperature: 1, topP: 1, topK: 0, repetitionPenalty: 1 },
          eosTokenId: EOS,
          logprobs: true,
          version,
        }
        /** Seldom the model's own stop id comes up, which the engine takes out of the folder it serves from. */
        const sample = (changes: Partial<SampleRequest>) =>
          dialects[name].sample(dialectAsk, { ...request, ...changes }).catch((error: Error) => {
            if (error.message.includes(`stopped by ${MODEL_STOP}`)) return { ids: [MODEL_STOP], logprobs: [-1] }
            throw error
          })
        const { ids, logprobs } = await sample({})
        t.ok(ids.length > 0 && logprobs.length === ids.length, 'a sample with a log-probability for every token')
        t.ok(logprobs.every(one => one < 0))
        const shaped = { ...request.generation, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1.1 }
        await t.resolves(sample({ id: 'shaped', generation: shaped, logprobs: false }), 'all five parameters are taken')
        const held = name === 'sglang' ? { folder: checkpoints[1], version } : { folder: checkpoints[0] }
        t.same(await dialects[name].served(dialectAsk), held, 'what is served')
        if (name === 'sglang') {
          await t.resolves(sglangDialect.reload!(dialectAsk, { folder: checkpoints[0], version: '30/again' }))
          t.match(await dialects[name].served(dialectAsk), { version: '30/again' }, 'other weights')
          await t.resolves(sglangDialect.abort!(dialectAsk, ['sample', 'nobody']), 'an abort')
        }
      })
    })
  }

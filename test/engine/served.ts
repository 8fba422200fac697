import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { canary } from '../../src/engine/canary.js'
import type { Engine } from '../../src/engine/engine.js'
import type { ServedOptions } from '../../src/engine/served.js'
import { freePort } from '../../src/engine/server/port.js'
import { sglangEngine } from '../../src/engine/sglang.js'
import { vllmEngine } from '../../src/engine/vllm.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { standInServer } from '../helpers/generation-server-control.js'
import { gone, groupIsGone } from '../helpers/processes.js'
import { cpuWorker, tinyCheckpoints, tinyRequest } from '../helpers/tiny-model.js'
import { watchedLog } from '../helpers/watched-log.js'
import { workerPythonAbsent } from '../helpers/worker-python.js'

// A server that generates and a worker that proves: what becomes of a group when one of them fails, with real signals.

/** Importing torch takes seconds to a minute, several times. */
t.setTimeout(280_000)

const never = new AbortController().signal
const ask = tinyRequest
const { generation } = ask()

const folder = await mkdtemp(join(tmpdir(), 'served-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

const tiny = (window: number) => ({ folder: join(folder, `checkpoint-${window}`), window, bigram: true })
const [first, second] = await tinyCheckpoints(tiny(30), tiny(60))

const canaryOf = (engine: Engine, checkpointWindow: number) =>
  canary(engine, { ...ask({ checkpointWindow }), profile: GRAIL_V5 }, never)

const LISTENS = /^listens (\d+)/
const WORKER = /^worker (\d+):/
const number = (line: string): number => Number(/(\d+)/.exec(line)?.[1])
const asked = async (log: { line(like: RegExp): Promise<string> }, groups = 1): Promise<void> => {
  for (let i = 0; i < groups * 16; i++) await log.line(/^asked 40/)
}

await t.test('sglang', { skip: workerPythonAbsent }, async t => {
  const stand = await standInServer(folder, 'sglang')
  const log = watchedLog()
  const worker = watchedLog()
  const engine = sglangEngine({
    name: 'generator-0',
    stateFolder: join(folder, 'state'),
    start: { program: stand.program, env: stand.env },
    provers: [cpuWorker],
    contextLength: 200,
    groups: { start: 2, most: 4 },
    limits: { healthEveryMs: 60_000, retryMs: 20, termMs: 2_000 },
    random: () => 0,
    onLog(line) {
      log.onLog(line)
      worker.onLog(line)
    },
  })
  t.teardown(() => engine.close())
  const model = await engine.start(first, never)
  const server = number(await log.line(LISTENS))
  let prover = number(await worker.line(WORKER))
  t.equal(
    model.maxPositions,
    198,
    'the context length bounds what is asked of it, but for two tokens SGLang leaves unused',
  )
  t.equal(engine.inFlight?.(), 4, 'a caller may keep two groups at the server and two at the prover')

  await t.test('the canary', async t => {
    const verdict = await canaryOf(engine, 30)
    t.ok(verdict.ok, 'sings: every sketch is repeated exactly')
    t.match(await canaryOf(engine, 60), { ok: false, reason: /asked for checkpoint 60/ }, 'or says why not')
    const shaky: Engine = {
      ...engine,
      verify: async (request, signal) => {
        const reply = await engine.verify(request, signal)
        return { ...reply, sketches: reply.sketches.map((sketch, at) => (at === 40 ? sketch + 1 : sketch)) }
      },
    }
    t.match(
      await canaryOf(shaky, 30),
      { ok: false, reason: /the sketch of completion 0, position 40 of \d+, is \d+ and \d+ when replayed/ },
      'and notices one sketch that is one off',
    )
  })

  await t.test('a prompt that leaves no room for max_tokens within the context length', async t => {
    await t.rejects(engine.generate(ask({ promptIds: new Int32Array(159).fill(5) }), never), {
      name: 'EngineError',
      next: 'never',
    })
    const longest = await engine.generate(ask({ promptIds: new Int32Array(158).fill(5), groupSize: 1 }), never)
    t.equal(longest.completions.length, 1, 'one token less is taken')
  })

  await t.test('proofs run while the next groups are generated', async t => {
    process.kill(prover, 'SIGSTOP')
    const groups = [1, 2, 3, 4].map(seed => engine.generate(ask({ seed }), never))
    await asked(log, 4)
    t.pass('with the prover held, later groups are generated still')
    t.match(engine.status?.(), { server: 'ready', reason: '', groups: { limit: 2 } }, 'and its status says so')
    process.kill(prover, 'SIGCONT')
    t.equal((await Promise.all(groups)).length, 4)
  })

  await t.test('groups in flight are measured', async t => {
    // As many callers as it says, each with one group after the other: the server is always full.
    const before = engine.status!().groups.limit
    let raised = false
    const caller = async (): Promise<void> => {
      for (let groups = 0; groups < 20 && !raised; groups++) {
        await engine.generate(ask({ promptIds: Int32Array.of(5), generation: { ...generation, maxTokens: 32 } }), never)
        raised = engine.status!().groups.limit > before
      }
    }
    await Promise.all(Array.from({ length: engine.inFlight!() }, caller))
    t.ok(raised, 'and more are tried when enough of them were')
    t.equal(engine.inFlight!(), engine.status!().groups.limit + 2, 'which is what a caller is told')
    const { busyMs, ofMs } = engine.status!().generation
    t.ok(busyMs > 0 && busyMs <= ofMs, 'and how long the server had work is known')
  })

  await t.test('what the server may answer', async t => {
    const cases: [trouble: Parameters<typeof stand.set>[0]['trouble'], next: 'never' | 'later', message: RegExp][] = [
      ['garbage', 'later', /not JSON: <html>busy.*\(attempt 3\)/],
      ['early', 'never', /stopped by|stopped after 3 of 40 tokens without EOS/],
      ['past-eos', 'never', /past EOS/],
      ['bad-id', 'never', /id 259, outside the vocabulary of 259/],
      ['not-a-number', 'never', /stopped by "NaN happened"/],
      // A refusal of this request only, although it speaks of weights.
      ['no-lora', 'never', /answered 400: .*LoRA weights/],
    ]
    for (const [trouble, next, message] of cases) {
      stand.set({ trouble: trouble! })
      await t.rejects(engine.generate(ask(), never), { name: 'EngineError', next, message }, `${trouble} → ${next}`)
    }
    stand.set({})
    t.equal((await engine.generate(ask(), never)).completions.length, 16, 'and goes on with good answers')
    stand.set({ trouble: 'out-of-memory' })
    const before = engine.inFlight!()
    await t.rejects(
      engine.generate(ask(), never),
      { name: 'EngineError', next: 'later', message: /CUDA out of memory/ },
      'out of memory → later',
    )
    stand.set({})
    await log.line(/generator-0 is out of memory: at most 2 groups at once from now on/)
    t.ok(engine.inFlight!() < before, 'with fewer groups in flight from then on')
    const told = log.all().filter(line => /is out of memory: at most/.test(line))
    t.equal(told.length, 1, '… fewer once, however many completions it cost')
  })

  await t.test('a group nobody waits for', async t => {
    stand.set({ trouble: 'hold' })
    const late = engine.generate(ask({ deadlineMs: Date.now() + 500 }), never)
    await t.rejects(late, { name: 'EngineError', next: 'deadline' }, 'is given up at its deadline')
    await log.line(/^abort /)
    t.pass('and aborted at the server')
    stand.set({})
  })

  await t.test('a prover killed between generation and proof', async t => {
    process.kill(prover, 'SIGSTOP')
    const group = engine.generate(ask(), never)
    group.catch(() => {})
    await asked(log)
    process.kill(prover, 'SIGKILL')
    prover = number(await worker.line(WORKER))
    t.equal((await group).completions.length, 16, 'the ids are not lost: another one proves them')
  })

  await t.test('a server killed in the middle of a group', async t => {
    stand.set({ trouble: 'hold' })
    const group = engine.generate(ask(), never)
    await log.line(/^holds/)
    process.kill(server, 'SIGKILL')
    await t.rejects(group, { name: 'EngineError', next: 'later' }, 'come back later')
    stand.set({})
    await log.line(/generator-0 is ready/)
    t.equal((await engine.generate(ask(), never)).completions.length, 16, 'when it is up again groups are made')
    t.ok((await canaryOf(engine, 30)).ok)
  })

  await t.test('weights changed under a running group', async t => {
    stand.set({ trouble: 'hold' })
    const group = engine.generate(ask(), never)
    group.catch(() => {})
    await log.line(/^holds/)
    const loading = engine.load(second, never)
    await t.rejects(
      group,
      { name: 'EngineError', next: 'never', message: /checkpoint 60 was loaded/ },
      'it is given up',
    )
    stand.set({})
    t.match(await loading, { checkpointWindow: 60 })
    t.ok(
      log.all().some(line => /generated for \d+\.\d % of its time with checkpoint 30/.test(line)),
      'how busy the server was is said',
    )
    await log.line(/^weights 60\/unhashed/)
    t.pass('the server takes them while running')
    t.ok((await canaryOf(engine, 60)).ok, 'and the next group is of the new ones')
  })

  await t.test('a server that only says that it took the weights', async t => {
    stand.set({ weights: 'stale' })
    const refused = {
      name: 'EngineError',
      next: 'never',
      message: /does not generate with the weights of checkpoint 30/,
    }
    await t.rejects(engine.load(first, never), refused, 'is found out by its own log-probabilities')
    await t.rejects(engine.generate(ask(), never), refused, 'and makes no group for this checkpoint')
    t.match(engine.status?.().reason, refused.message, 'which its status says')
    await t.rejects(engine.verify({ ...ask(), tokens: new Int32Array(99), promptLength: 50 }, never), refused)
    t.match(await engine.load(first, never), { checkpointWindow: 30 }, 'another load() starts it anew')
    t.ok((await canaryOf(engine, 30)).ok)
  })

  await t.test('a server that refuses the weights', async t => {
    stand.set({ weights: 'refused' })
    t.match(await engine.load(second, never), { checkpointWindow: 60 }, 'is started anew with them')
    await log.line(/did not take the weights while running.*shape mismatch/)
    stand.set({})
    t.ok((await canaryOf(engine, 60)).ok)
  })

  const left = number(
    log
      .all()
      .filter(line => LISTENS.test(line))
      .at(-1)!,
  )
  t.equal((await readdir(join(folder, 'state', 'generator-0.serving'))).length, 1, 'links of one checkpoint are kept')
  await engine.close()
  t.ok((await groupIsGone(left)) && (await groupIsGone(prover)), 'close() leaves neither server nor prover')
})

await t.test('vllm', { skip: workerPythonAbsent }, async t => {
  const stand = await standInServer(folder, 'vllm')
  const log = watchedLog()
  const options: ServedOptions = {
    name: 'generator-1',
    stateFolder: join(folder, 'state'),
    start: { program: stand.program, env: stand.env },
    provers: [cpuWorker],
    limits: { healthEveryMs: 60_000, retryMs: 20, termMs: 2_000 },
    random: () => 0,
    onLog: log.onLog,
  }
  const engine = vllmEngine({ ...options, weights: 'reload' })
  t.teardown(() => engine.close())
  await engine.start(first, never)
  const server = number(await log.line(LISTENS))
  t.ok((await canaryOf(engine, 30)).ok)
  stand.set({ trouble: 'no-ids' })
  await t.rejects(
    engine.generate(ask(), never),
    { name: 'EngineError', next: 'never', message: /vLLM 0\.10\.2 or later/ },
    'text is no answer',
  )
  stand.set({})
  await engine.load(second, never)
  await log.line(/^weights reloaded/)
  t.ok((await canaryOf(engine, 60)).ok, 'weights are changed in place where that is asked for')
  t.notOk(await groupIsGone(server))
  stand.set({ weights: 'cached' })
  await engine.load(first, never)
  await log.line(/did not take the weights while running.*"success":false/)
  await gone(server)
  const next = number(await log.line(LISTENS))
  t.ok((await canaryOf(engine, 30)).ok, 'one whose cache of the old weights is still in use is started anew')
  stand.set({ weights: 'stale' })
  await t.rejects(
    engine.load(second, never),
    { name: 'EngineError', next: 'never', message: /does not generate with the weights/ },
    'and checked',
  )
  await engine.close()
  await gone(next)
})

await t.test('a server somebody else started', { skip: workerPythonAbsent }, async t => {
  const stand = await standInServer(folder, 'attached')
  const port = await freePort()
  const theirs = spawn(
    stand.program,
    ['--model-path', first.folder, '--context-length', '200', '--host', '127.0.0.1', '--port', String(port)],
    { env: stand.env, stdio: ['ignore', 'pipe', 'inherit'], detached: true },
  )
  t.teardown(() => process.kill(-theirs.pid!, 'SIGKILL'))
  const log = watchedLog()
  createInterface({ input: theirs.stdout }).on('line', log.onLog)
  await log.line(LISTENS)
  const options = {
    name: 'generator-2',
    stateFolder: join(folder, 'state'),
    provers: [cpuWorker],
    attach: { url: `http://127.0.0.1:${port}` },
  }
  const engine = sglangEngine(options)
  t.teardown(() => engine.close())
  const model = await engine.start(second, never)
  t.equal(model.checkpointWindow, 60)
  t.ok(model.maxPositions <= 200 - 2, `makes no longer sequences than the server does: ${model.maxPositions}`)
  await log.line(/^weights 60/)
  t.ok((await canaryOf(engine, 60)).ok, 'is given the weights and used')
  await engine.close()
  t.equal(theirs.exitCode, null, 'and left running')
  t.throws(
    () => sglangEngine({ ...options, start: { program: 'x' } }),
    { name: 'EngineError', next: 'never', message: /either a server to start or one to attach to/ },
    'both at once are refused',
  )
})

await t.test('a vLLM server somebody else started', { skip: workerPythonAbsent }, async t => {
  const stand = await standInServer(folder, 'attached-vllm')
  const port = await freePort()
  const theirs = spawn(
    stand.program,
    [
      ...['--model', first.folder, '--served-model-name', 'grail', '--max-model-len', '200'],
      ...['--host', '127.0.0.1', '--port', String(port)],
    ],
    { env: stand.env, stdio: ['ignore', 'pipe', 'inherit'], detached: true },
  )
  t.teardown(() => process.kill(-theirs.pid!, 'SIGKILL'))
  const log = watchedLog()
  createInterface({ input: theirs.stdout }).on('line', log.onLog)
  await log.line(LISTENS)
  const options = {
    name: 'generator-3',
    stateFolder: join(folder, 'state'),
    provers: [cpuWorker],
    attach: { url: `http://127.0.0.1:${port}` },
  }
  const engine = vllmEngine(options)
  t.teardown(() => engine.close())
  t.equal((await engine.start(first, never)).maxPositions, 200, 'makes no longer sequences than the server does')
  t.ok((await canaryOf(engine, 30)).ok, 'is used with the weights it has')
  const refused = { name: 'EngineError', next: 'never', message: /cannot be changed from outside/ }
  await t.rejects(engine.load(second, never), refused, 'but not with others')
  await t.rejects(engine.generate(ask({ checkpointWindow: 60 }), never), refused)
  t.throws(() => vllmEngine({ ...options, weights: 'reload' }), { name: 'EngineError', next: 'never' })
})

await t.test('what a server is pointed at', { skip: workerPythonAbsent }, async t => {
  const { makeServingFolder } = await import('../../src/engine/server/serving-folder.js')
  const made = await makeServingFolder(first, join(folder, 'serving'))
  t.match(made, { eosTokenId: 2, maxPositions: 512 })
  const read = async (file: string) => JSON.parse(await readFile(join(made.folder, file), 'utf8')) as object
  t.match(await read('config.json'), { eos_token_id: 2, vocab_size: 259 }, 'stops on the tokenizer’s EOS alone')
  t.same(await read('generation_config.json'), { eos_token_id: [2] }, 'and brings no sampling of its own')
  t.match(await read('../../checkpoint-30/config.json'), { eos_token_id: [2, 40] }, 'the checkpoint is left as it is')
})

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import { canary } from '../../src/engine/canary.js'
import type { Engine } from '../../src/engine/engine.js'
import { call } from '../../src/engine/transformers/call.js'
import { startWorker } from '../../src/engine/transformers/child.js'
import { Facts, Group, groupBody, Health, weightsBody } from '../../src/engine/transformers/wire.js'
import { transformersEngine } from '../../src/engine/transformers.js'
import { packageRoot } from '../../src/package-root.js'
import { FORK_V1, GRAIL_V5 } from '../../src/protocol/profile.js'
import { cpuWorker, tinyCheckpoint, tinyRequest } from '../helpers/tiny-model.js'
import { watchedLog } from '../helpers/watched-log.js'
import { workerPython, workerPythonAbsent } from '../helpers/worker-python.js'

// The worker as a process: how it starts, dies, hangs, comes back and ends.

/** Importing torch takes seconds to a minute, several times. */
t.setTimeout(240_000)

const never = new AbortController().signal
const ask = tinyRequest
/**
 * Long enough that a signal or a deadline always comes while it is being generated: hot enough that of 16 completions
 * one goes on for hundreds of tokens. (A cold one ends where the tiny model's favourite path does, after 20.)
 */
const endless = { ...ask().generation, maxTokens: 450, temperature: 5, topP: 1, topK: 0 }

const folder = await mkdtemp(join(tmpdir(), 'transformers-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
const checkpoint = await tinyCheckpoint(join(folder, 'tiny'), { seed: 1 })

/** What the worker says when it listens, with its process id. */
const LISTENS = /^worker (\d+):/
const pidIn = (line: string) => Number(LISTENS.exec(line)?.[1])

/** Resolves when no process has this id: `tail` waits for processes that are not its children. */
async function gone(pid: number): Promise<void> {
  await once(spawn('tail', [`--pid=${pid}`, '-f', '/dev/null'], { stdio: 'ignore' }), 'exit')
}

const groupIsGone = (pid: number) => {
  try {
    process.kill(-pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

await t.test('a worker that dies', { skip: workerPythonAbsent }, async t => {
  const log = watchedLog()
  const engine = transformersEngine({
    ...cpuWorker,
    // One token and one proof of a worker that shares its core with others.
    deadlineGraceMs: 6_000,
    random: () => 0,
    onLog: log.onLog,
  })
  t.teardown(() => engine.close())
  const model = await engine.start(checkpoint, never)
  const first = pidIn(await log.line(LISTENS))
  const before = await engine.generate(ask(), never)

  const pending = engine.generate(ask({ generation: endless }), never)
  process.kill(first, 'SIGKILL')
  await t.rejects(pending, { name: 'EngineError', next: 'later' }, 'in the middle of a group: come back later')
  await log.line(/the worker ended \(killed by SIGKILL\)/)
  await t.rejects(engine.generate(ask(), never), { name: 'EngineError', next: 'later' }, 'while it starts again: later')
  await t.rejects(engine.load(checkpoint, never), { name: 'EngineError', next: 'later' }, 'a checkpoint: later, too')
  const second = pidIn(await log.line(LISTENS))
  t.not(second, first, 'is started again')
  await log.line(/the worker is up again/)
  const after = await engine.generate(ask(), never)
  t.strictSame(after.model, model, 'with the checkpoint it had')
  const tokens = Int32Array.from([...ask().promptIds, ...before.completions[4]!.completionIds])
  const replay = await engine.verify({ ...ask(), tokens, promptLength: 50 }, never)
  t.same(replay.sketches, before.completions[4]!.sketches, 'and replays exactly what the dead one proved')

  let third = 0
  await t.test('one that hangs is ended and started again', async t => {
    process.kill(second, 'SIGSTOP')
    await t.rejects(
      engine.generate(ask({ deadlineMs: Date.now() + 200 }), never),
      { name: 'EngineError', next: 'later', message: /did not answer/ },
      'it is not waited for beyond the deadline',
    )
    await gone(second)
    third = pidIn(await log.line(LISTENS))
    await log.line(/the worker is up again/)
    t.equal((await engine.generate(ask({ groupSize: 1 }), never)).completions.length, 1)
  })

  await t.rejects(
    engine.generate(ask({ generation: endless, deadlineMs: Date.now() + 50 }), never),
    { name: 'EngineError', next: 'deadline' },
    'a group that would come too late is given up as such',
  )

  const reason = new Error('the window was skipped')
  const aborted = new AbortController()
  const given = engine.generate(ask({ generation: endless }), aborted.signal)
  aborted.abort(reason)
  await t.rejects(given, reason, 'a group that nobody waits for ends at once for its caller')
  t.equal((await engine.generate(ask({ groupSize: 1 }), never)).completions.length, 1, 'and the next one is made')

  await engine.close()
  t.ok(groupIsGone(third), 'close() leaves nobody in its process group')
})

await t.test('a worker on its own', { skip: workerPythonAbsent }, async t => {
  const log = watchedLog()
  const worker = await startWorker({ profile: GRAIL_V5, ...cpuWorker, onLog: log.onLog }, never)
  t.teardown(() => worker.stop())
  const limits = { timeoutMs: 120_000, signal: never }

  await t.test('talks to nobody without its token', async t => {
    for (const authorization of [undefined, 'Bearer ', `Bearer ${'0'.repeat(64)}`, worker.token]) {
      const asked = request({
        host: '127.0.0.1',
        port: worker.port,
        path: '/health',
        headers: authorization === undefined ? {} : { authorization },
      })
      asked.end()
      const [response] = (await once(asked, 'response')) as [{ statusCode: number; resume(): void }]
      response.resume()
      t.equal(response.statusCode, 401, `${authorization?.slice(0, 9) ?? 'nothing'} is refused`)
    }
    for (const file of ['cmdline', 'environ'])
      t.notOk(
        (await readFile(`/proc/${worker.pid}/${file}`, 'utf8')).includes(worker.token),
        `which is not in its ${file}`,
      )
  })

  await t.test('refuses weights that are not the expected ones', async t => {
    const others: [title: string, checkpoint: Checkpoint][] = [
      ['by the trainer’s digest', { ...checkpoint, metadata: { ...checkpoint.metadata, weightsHash: '0'.repeat(32) } }],
      ['by the one computed of the files, where the trainer gave none', { ...checkpoint, weightsHash: '0'.repeat(32) }],
    ]
    for (const [title, other] of others)
      await t.rejects(
        call(worker, 'POST', '/v1/weights', weightsBody(other), Facts, limits),
        { name: 'EngineError', next: 'never', message: /weights hash/ },
        title,
      )
    const facts = await call(worker, 'POST', '/v1/weights', weightsBody(checkpoint), Facts, limits)
    t.match(facts, { checkpointWindow: 30, modelName: 'tiny', eosTokenId: 2, vocabSize: 259, maxPositions: 512 })
    t.match(facts.weightsHash, /^[0-9a-f]{32}$/)
  })

  await t.test('drops a group when its caller hangs up', async t => {
    const running = new AbortController()
    const reason = new Error('the window was skipped')
    const group = call(worker, 'POST', '/v1/group', groupBody(ask({ generation: endless })), Group, {
      timeoutMs: 120_000,
      signal: running.signal,
    })
    group.catch(() => {})
    const health = () => call(worker, 'GET', '/health', undefined, Health, limits)
    while (!(await health()).busy);
    running.abort(reason)
    await t.rejects(group, reason)
    t.match(await log.line(/given up/), /\/v1\/group given up, the caller hung up/)
    t.match(await health(), { busy: false }, 'and is free again')
  })

  await t.test('answers nonsense with one sentence', async t => {
    const cases: [path: string, body: unknown, message: RegExp][] = [
      ['/v1/nothing', {}, /no such endpoint/],
      ['/v1/group', {}, /malformed request: KeyError/],
      ['/v1/group', 'text', /malformed request/],
    ]
    for (const [path, body, message] of cases)
      await t.rejects(call(worker, 'POST', path, body, Group, limits), { name: 'EngineError', next: 'never', message })
  })

  await worker.stop()
  t.ok(groupIsGone(worker.pid), 'stop() leaves nobody in its process group')
})

await t.test('a worker whose parent is killed', { skip: workerPythonAbsent }, async t => {
  // The parent only starts the worker, says its process id when it listens, and waits to be killed.
  const program = `
    const { spawn } = require('node:child_process')
    const child = spawn(process.argv[1], ['-m', 'worker'], {
      cwd: process.argv[2], detached: true, stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
    })
    child.stdin.write(process.argv[3] + '\\n')
    child.stdio[3].once('data', () => console.log(child.pid))`
  const settings = {
    token: 'x',
    profile: 'grail-v5',
    buckets: 8,
    initial_steps: 50,
    device: 'cpu',
    dtype: 'bfloat16',
    attention: 'auto',
    threads: 1,
    proof_rows: 0,
    sample_rows: 0,
    profile_rows: 16,
    profile_attention: 'flash_attention_2',
  }
  const parent: ChildProcess = spawn(
    process.execPath,
    ['-e', program, workerPython, join(packageRoot, 'src', 'engine'), JSON.stringify(settings)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const [pid] = (await once(parent.stdout!, 'data')) as [Buffer]
  t.notOk(groupIsGone(Number(pid)), 'runs in a process group of its own')
  parent.kill('SIGKILL')
  await gone(Number(pid))
  t.ok(groupIsGone(Number(pid)), 'ends by itself')
})

await t.test('several sequences per forward', { skip: workerPythonAbsent }, async t => {
  const engine = transformersEngine({ ...cpuWorker, proofRows: 6 })
  t.teardown(() => engine.close())
  await engine.start(checkpoint, never)
  const group = await engine.generate(
    // So long that some of 16 end before: once in some 250 tokens.
    ask({ generation: { ...endless, maxTokens: 400, temperature: 2, topK: 0 } }),
    never,
  )
  const sequences = group.completions.map(c => Int32Array.from([...ask().promptIds, ...c.completionIds]))
  const lengths = sequences.map(tokens => tokens.length)
  t.ok(new Set(lengths).size > 3, 'of different lengths')
  t.notSame(
    lengths,
    [...lengths].sort((a, b) => b - a),
    'which do not happen to be in the order they are proved in',
  )
  for (const [i, tokens] of sequences.entries()) {
    const place = { ...ask(), tokens, promptLength: 50, group: { lengths, at: i, rows: group.proofRows } }
    const { sketches, logprobs } = await engine.verify(place, never)
    t.same(
      [sketches, logprobs],
      [group.completions[i]!.sketches, group.completions[i]!.logprobs],
      `replay ${i} is exact`,
    )
  }
  const rows = new Set<number | 'whole' | undefined>()
  const watched: Engine = {
    ...engine,
    verify(request, signal) {
      rows.add(request.whole ? 'whole' : request.group?.rows)
      return engine.verify(request, signal)
    },
  }
  t.match(await canary(watched, { ...ask(), profile: GRAIL_V5 }, never), { ok: true }, 'the canary sings')
  t.same(
    [...rows],
    [6, 'whole'],
    '… asking for each replay in the shape of the proof, and then as a validator reads it',
  )
})

await t.test('a worker that cannot start', async t => {
  const cases: [title: string, python: string, next: 'never' | 'later', message: RegExp][] = [
    ['no such Python', join(folder, 'python'), 'never', /cannot be run.*supervisor\/setup\/python\.sh/],
    ['a program that ends at once', '/bin/false', 'later', /did not start: exit 1/],
  ]
  for (const [title, python, next, message] of cases) {
    const engine = transformersEngine({ python })
    await t.rejects(engine.start(checkpoint, never), { name: 'EngineError', next, message }, title)
    await engine.close()
  }
  const mute = join(folder, 'mute')
  await writeFile(mute, '#!/bin/sh\necho "worker $$: mute"\nexec sleep 1000\n', { mode: 0o700 })
  const log = watchedLog()
  const engine = transformersEngine({ python: mute, onLog: log.onLog })
  const starting = engine.start(checkpoint, never)
  starting.catch(() => {})
  const pid = pidIn(await log.line(LISTENS))
  await engine.close()
  t.ok(groupIsGone(pid), 'close() ends a start that is under way, with its process')
  await t.rejects(starting, { name: 'EngineError', message: /closed/ })
  await t.rejects(
    transformersEngine({ python: workerPython }).start(checkpoint, AbortSignal.abort(new Error('shutting down'))),
    /shutting down/,
    'a start that nobody waits for is not made',
  )
  t.throws(
    () => transformersEngine({ python: workerPython, profile: FORK_V1 }),
    { name: 'EngineError', next: 'never' },
    'for a profile it cannot prove',
  )
})

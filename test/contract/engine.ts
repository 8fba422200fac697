import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Checkpoint, CheckpointMetadata } from '../../src/checkpoint/metadata.js'
import type { Engine, GroupReply, GroupRequest, VerifyRequest } from '../../src/engine/engine.js'
import { openEngine } from '../../src/engine/index.js'
import { rehearsalCheckpoint } from '../../src/engine/rehearsal/checkpoint.js'
import type { ServedOptions } from '../../src/engine/served.js'
import { packageRoot } from '../../src/package-root.js'
import { GRAIL_V5, PRIME_Q } from '../../src/protocol/profile.js'
import { standInServer } from '../helpers/generation-server-control.js'
import { REAL_START_MS, realServer, realServerAbsent } from '../helpers/real-server.js'
import { cpuWorker, tinyCheckpoints, tinyRequest } from '../helpers/tiny-model.js'
import { workerPythonAbsent } from '../helpers/worker-python.js'

// One contract for every engine there is.

const realNames = ['sglang', 'vllm'] as const
/** Importing torch takes seconds to a minute, several times; a real server is started several times as well. */
t.setTimeout(realNames.some(realServer) ? 8 * REAL_START_MS : 240_000)

const never = new AbortController().signal
const generation = { maxTokens: 40, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1.1 }
const metadata: CheckpointMetadata = {
  window: 30,
  modelName: 'first',
  weightsHash: '',
  environment: 'gsm8k',
  environmentParams: {},
  generation,
  thinkingMode: 'instructed',
}
const ask = (changes: Partial<GroupRequest> = {}): GroupRequest => tinyRequest({ generation, ...changes })
const { coefficients, promptIds } = ask()
/** Two completions this short are alike by chance, once in a hundred groups; longer ones never. Tokens */
const SOON_OVER = 8

const folder = await mkdtemp(join(tmpdir(), 'engine-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

const logOf = (name: string): string => join(folder, 'log', `${name}.server.log`)
/** Engines that generate on a server: a process stands in for it and samples from the checkpoint it is given. */
const server = await standInServer(folder)
const served = (name: string, start: ServedOptions['start'] = server): ServedOptions => ({
  name,
  stateFolder: join(folder, 'state'),
  start: { program: start!.program, env: start!.env ?? {}, extraArgs: start!.extraArgs ?? [] },
  provers: [cpuWorker],
  logFile: { file: logOf(name), bytes: 1_000_000, backups: 1 },
})

/** Two checkpoints of each kind. */
async function tiny(): Promise<Record<'whole' | 'bigram', [Checkpoint, Checkpoint]>> {
  const second = { ...metadata, window: 60, modelName: 'second' }
  const [a, b, c, d] = await tinyCheckpoints(
    { ...metadata, folder: join(folder, 't30') },
    { ...second, folder: join(folder, 't60') },
    { ...metadata, folder: join(folder, 'b30'), bigram: true },
    { ...second, folder: join(folder, 'b60'), bigram: true },
  )
  return { whole: [a, b], bigram: [c, d] }
}

interface Implementation {
  name: string
  skip: string | false
  open(): Engine
  /** Two checkpoints, of windows 30 and 60. */
  checkpoints(): Promise<[Checkpoint, Checkpoint]>
}

const implementations: Implementation[] = [
  {
    name: 'rehearsal',
    skip: false,
    open: () => openEngine('rehearsal', {}),
    checkpoints: async () => {
      const tokenizerFolder = join(packageRoot, 'node_modules', '@lenml', 'tokenizer-qwen2_5', 'models')
      const make = (window: number) =>
        rehearsalCheckpoint({ folder: join(folder, `r${window}`), tokenizerFolder, ...metadata, window })
      return [await make(30), await make(60)]
    },
  },
  {
    name: 'transformers',
    skip: workerPythonAbsent,
    open: () => openEngine('transformers', cpuWorker),
    checkpoints: async () => (await tiny()).whole,
  },
  ...(
    [
      ['sglang', () => openEngine('sglang', served('sglang')), false],
      ['vllm', () => openEngine('vllm', served('vllm')), false],
      ...realNames.map(
        name =>
          [
            `real-${name}`,
            () => openEngine(name, served(`real-${name}`, realServer(name))),
            realServer(name) ? false : realServerAbsent(name),
          ] as const,
      ),
    ] as const
  ).map(
    ([name, open, absent]): Implementation => ({
      name,
      skip: absent || workerPythonAbsent,
      open,
      checkpoints: async () => (await tiny()).bigram,
    }),
  ),
]

function replay(group: GroupReply, rollout: number, changes: Partial<VerifyRequest> = {}): VerifyRequest {
  const tokens = Int32Array.from([...promptIds, ...group.completions[rollout]!.completionIds])
  return {
    profile: 'grail-v5',
    checkpointWindow: group.model.checkpointWindow,
    tokens,
    promptLength: promptIds.length,
    coefficients,
    generation,
    ...changes,
  }
}

for (const { name, skip, open, checkpoints } of implementations)
  await t.test(name, { skip }, async t => {
    if (name.startsWith('real-')) t.setTimeout(4 * REAL_START_MS)
    const [first, second] = await checkpoints()
    const engine = open()
    t.teardown(() => engine.close())
    await t.rejects(
      engine.generate(ask(), never),
      { name: 'EngineError', next: 'later' },
      'before a checkpoint is loaded a group is refused for later',
    )
    const model = await engine.start(first, never)
    const group = await engine.generate(ask(), never)

    await t.test('a group', async t => {
      t.equal(model.checkpointWindow, 30)
      t.strictSame(group.model, model, 'says which model it is of')
      t.equal(group.completions.length, 16, 'has as many completions as asked for')
      const long = group.completions.filter(c => c.completionIds.length > SOON_OVER)
      t.ok(long.length > 1, 'has some that go on')
      t.equal(new Set(long.map(c => c.completionIds.join())).size, long.length, '… no two alike')
      for (const [i, c] of group.completions.entries()) {
        const length = c.completionIds.length
        const ended = c.completionIds.at(-1) === model.eosTokenId
        t.equal(c.finish, ended ? 'eos' : 'length', `completion ${i} ends by EOS or says that it does not`)
        t.ok(ended ? length <= generation.maxTokens : length === generation.maxTokens, `… at exactly max_tokens then`)
        t.notOk(c.completionIds.subarray(0, -1).includes(model.eosTokenId), '… and has no EOS before its end')
        t.ok(
          c.completionIds.every(id => id >= 0 && id < model.vocabSize),
          '… ids of the vocabulary',
        )
        t.equal(c.sketches.length, promptIds.length + length, '… a sketch for every position')
        t.ok(
          c.sketches.every(s => s >= 0 && s < PRIME_Q),
          '… in [0, q)',
        )
        t.equal(c.logprobs.length, length, '… a log-probability for every token')
        t.ok(
          c.logprobs.every(lp => Number.isFinite(lp) && lp <= 0),
          '… finite, at most 0',
        )
        if (ended)
          t.ok(Math.abs(Math.log(c.eosProbability) - c.logprobs.at(-1)!) < 1e-3, '… p(EOS) is that of its last token')
        else t.ok(Number.isNaN(c.eosProbability), '… and no p(EOS)')
        const { median, q10, q10First50, min } = c.distribution
        t.ok(min > 0 && min <= q10 && q10 <= median && median <= 1 && min <= q10First50, '… figures in order')
      }
      const likes = group.completions.map(
        c => group.completions.find(one => one.completionIds.length === c.completionIds.length)!,
      )
      t.ok(
        likes.some((like, i) => like !== group.completions[i]),
        'some are of one length',
      )
      for (const [i, c] of group.completions.entries()) {
        const like = likes[i]!
        t.same(
          c.sketches.subarray(0, promptIds.length),
          like.sketches.subarray(0, promptIds.length),
          'the prompt has the same sketches in every completion of one length',
        )
      }
      t.ok(group.seconds.generate >= 0 && group.seconds.prove >= 0, 'says how long it took')
    })

    await t.test('a replay', async t => {
      for (const rollout of [0, 7, 15]) {
        const { completionIds, finish, ...numbers } = group.completions[rollout]!
        t.strictSame(await engine.verify(replay(group, rollout), never), numbers, `of rollout ${rollout} is exact`)
      }
      const honest = group.completions[3]!
      const other = await engine.verify(replay(group, 3, { coefficients: coefficients.map(c => -c) }), never)
      t.notSame(other.sketches, honest.sketches, 'under other coefficients has other sketches')
      t.same(other.logprobs, honest.logprobs, '… and the same log-probabilities')
      const tokens = replay(group, 3).tokens.map((id, i) => (i === 20 ? id + 1 : id))
      const changed = await engine.verify(replay(group, 3, { tokens }), never)
      t.notSame(changed.sketches.subarray(20), honest.sketches.subarray(20), 'of another prompt has other sketches')
    })

    await t.test('what it refuses', async t => {
      const tooLong = new Int32Array(model.maxPositions - generation.maxTokens + 1).fill(5)
      const cases: [string, Partial<GroupRequest>, 'never' | 'deadline'][] = [
        ['another profile', { profile: 'fork-v1' }, 'never'],
        ['another checkpoint', { checkpointWindow: 60 }, 'never'],
        ['too few coefficients', { coefficients: new Int8Array(15) }, 'never'],
        ['an empty prompt', { promptIds: new Int32Array() }, 'never'],
        ['an id outside the vocabulary', { promptIds: Int32Array.of(5, model.vocabSize) }, 'never'],
        ['a prompt that leaves no room for max_tokens', { promptIds: tooLong }, 'never'],
        ['max_tokens under the shortest completion', { generation: { ...generation, maxTokens: 31 } }, 'never'],
        ['an empty group', { groupSize: 0 }, 'never'],
        ['a deadline in the past', { deadlineMs: Date.now() - 1 }, 'deadline'],
      ]
      for (const [title, change, next] of cases)
        await t.rejects(engine.generate(ask(change), never), { name: 'EngineError', next }, `${title} → ${next}`)
      const wrong: [string, Partial<VerifyRequest>][] = [
        ['of another profile', { profile: 'fork-v1' }],
        ['of another checkpoint', { checkpointWindow: 60 }],
        ['without a completion', { promptLength: promptIds.length + group.completions[0]!.completionIds.length }],
      ]
      for (const [title, change] of wrong)
        await t.rejects(
          engine.verify(replay(group, 0, change), never),
          { name: 'EngineError', next: 'never' },
          `a replay ${title} → never`,
        )
    })

    await t.test('a signal', async t => {
      const reason = new Error('the window was skipped')
      await t.rejects(
        engine.generate(ask(), AbortSignal.abort(reason)),
        reason,
        'aborted before: its reason comes back',
      )
      await t.rejects(engine.verify(replay(group, 0), AbortSignal.abort(reason)), reason, '… from a replay too')
      t.equal(
        (await engine.generate(ask({ groupSize: 2 }), never)).completions.length,
        2,
        'afterwards the engine works on',
      )
    })

    await t.test('another checkpoint', async t => {
      const loaded = await engine.load(second, never)
      t.match(loaded, { checkpointWindow: 60, modelName: second.metadata.modelName }, 'is loaded in place of the first')
      await t.rejects(
        engine.generate(ask(), never),
        { name: 'EngineError', next: 'never' },
        'and groups of the first are refused',
      )
      const other = await engine.generate(ask({ checkpointWindow: 60, groupSize: 1 }), never)
      t.equal(other.model.checkpointWindow, 60)
      const { sketches } = await engine.verify(replay(other, 0), never)
      t.same(sketches, other.completions[0]!.sketches, 'replays are exact with it')
      await t.rejects(
        engine.load({ folder: join(folder, 'nowhere'), metadata }, never),
        { name: 'EngineError', next: 'never' },
        'a folder without a checkpoint is refused',
      )
      t.strictSame(await engine.load(first, never), model, 'and the first can be loaded again')
    })

    await t.test('closed', async t => {
      await engine.close()
      await engine.close()
      await t.rejects(engine.generate(ask(), never), { name: 'EngineError' }, 'it gives no more groups')
      if (name === 'sglang' || name === 'vllm')
        t.match(
          await readFile(logOf(name), 'utf8'),
          /^listens \d+/m,
          'and its server’s lines are in a file of their own',
        )
    })
  })

t.equal(GRAIL_V5.topk, coefficients.length, 'the coefficients of these requests are as many as the profile has')

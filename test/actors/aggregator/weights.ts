import t, { type Test } from 'tap'
import { systemClock } from '../../../actors/actor.js'
import type { AssemblyParts } from '../../../actors/aggregator/options.js'
import { type Gathering, writeFile } from '../../../actors/aggregator/write-file.js'
import { ensureStreams } from '../../../actors/ensure.js'
import type { Staged } from '../../../actors/generator/messages.js'
import { indicesOf } from '../../../actors/ranges.js'
import { PARTS, ROLLOUTS } from '../../../actors/streams.js'
import type { OpenWindow } from '../../../actors/windows.js'
import { openStore } from '../../../nats/index.js'
import { advantages } from '../../../src/protocol/advantages.js'
import { GRAIL_V5 } from '../../../src/protocol/profile.js'
import { deriveEnvSeed } from '../../../src/protocol/seed.js'
import { digestOf, encodeGroup } from '../../../src/window/blob.js'
import { timersOf } from '../../../src/window/deadline.js'
import type { Group } from '../../../src/window/group.js'
import { sampleGroup } from '../../helpers/group.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../../helpers/nats-server.js'

// One file is of one checkpoint's weights, also where the checkpoint's metadata does not say which.

const A = 'a'.repeat(32)
const B = 'b'.repeat(32)
/** Of the part, bytes: one part for all of it. */
const PART_BYTES = 64 * 1024 ** 2

/** A group nothing is wrong with, made with these weights. */
function groupOf(index: number, weightsHash: string): Group {
  const group = sampleGroup({ index, equalLengths: true })
  const shares = advantages(group.rollouts.map(({ reward }) => reward))
  return {
    ...group,
    engine: 'transformers',
    seed: deriveEnvSeed(group.hotkey, group.windowHash, index),
    model: { ...group.model, weightsHash },
    rollouts: group.rollouts.map((rollout, i) => ({
      ...rollout,
      completionIds: rollout.completionIds.with(-1, group.model.eosTokenId),
      finish: 'eos',
      eosProbability: 0.8,
      advantage: shares[i]!,
    })),
  }
}

async function fileMaker(t: Test) {
  const broker = await brokerOf(t, await startNats(t))
  await ensureStreams(broker, { replicas: 1, presenceMs: 4_000, leaseMs: 4_000, signal: inTime() })
  const rollouts = openStore(broker, ROLLOUTS)
  const { hotkey, windowHash, randomness, environment, model, window, epoch } = groupOf(0, A)
  const timers = timersOf(Date.now() + 3_600_000, 10_000, 10_000)
  const parts = {
    ...{ broker, rollouts, parts: openStore(broker, PARTS), clock: systemClock, profile: GRAIL_V5 },
    ...{ holes: 'keep', partBytes: PART_BYTES, hotkey: { ss58: hotkey, sign: () => new Uint8Array(64) } },
  } as unknown as AssemblyParts

  /**
   * @param journal what was staged, in the journal's order
   * @param before indices an earlier attempt has dropped
   * @param published weights_hash of the checkpoint's metadata
   */
  return async (attempt: number, journal: [index: number, weights: string][], before: number[], published = '') => {
    const staged = new Map<number, Staged>()
    for (const [index, weights] of journal) {
      const blob = encodeGroup(groupOf(index, weights))
      const digest = digestOf(blob)
      const object = `${window}/${epoch}/${index}/${digest}`
      await rollouts.put(object, blob, { signal: inTime() })
      staged.set(index, { object, digest } as Staged)
    }
    const dropped: Record<number, string> = {}
    const gathering: Gathering = {
      staged,
      burned: new Set(),
      isDropped: index => before.includes(index) || index in dropped,
      async drop(index, reason) {
        dropped[index] = reason
      },
      sealNow: () => true,
      look: async () => {},
      stillOurs: async () => {},
    }
    const checkpoint = {
      window: model.checkpointWindow,
      modelName: model.modelName,
      weightsHash: published,
      environment,
    }
    const opened = { hotkey, hash: windowHash, randomness, checkpoint }
    const sealed = await writeFile({ window, epoch, opened, timers } as OpenWindow, attempt, gathering, parts, inTime())
    return { indices: [...indicesOf(sealed.indices)], dropped }
  }
}

t.test('a file is of one checkpoint’s weights', { skip: natsServerAbsent }, async t => {
  const make = await fileMaker(t)
  t.same(
    await make(
      1,
      [
        [1, B],
        [2, A],
        [3, B],
      ],
      [],
    ),
    { indices: [1, 3], dropped: { 2: 'weights_hash' } },
    'metadata without a hash: those of the group that was staged first',
  )
  t.same(
    await make(
      2,
      [
        [1, B],
        [2, A],
        [3, B],
        [0, A],
      ],
      [2],
    ),
    { indices: [1, 3], dropped: { 0: 'weights_hash' } },
    'of a later attempt too, although the first index is another one’s now',
  )
  t.same(
    await make(
      3,
      [
        [1, B],
        [2, A],
        [3, B],
      ],
      [1],
    ),
    { indices: [3], dropped: { 2: 'weights_hash' } },
    'and although the group that decided it was dropped',
  )
  t.same(
    await make(
      4,
      [
        [1, B],
        [2, A],
        [3, B],
      ],
      [],
      A,
    ),
    { indices: [2], dropped: { 1: 'weights_hash', 3: 'weights_hash' } },
    'metadata with a hash: those',
  )
})

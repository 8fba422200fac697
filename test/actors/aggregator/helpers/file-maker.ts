import type { Test } from 'tap'
import { type Clock, systemClock } from '../../../../actors/actor.js'
import type { AssemblyParts } from '../../../../actors/aggregator/options.js'
import { type Gathering, writeFile } from '../../../../actors/aggregator/write-file.js'
import { ensureStreams } from '../../../../actors/ensure.js'
import type { Staged } from '../../../../actors/generator/messages.js'
import { indicesOf } from '../../../../actors/ranges.js'
import { PARTS, ROLLOUTS } from '../../../../actors/streams.js'
import type { OpenWindow } from '../../../../actors/windows.js'
import { openStore, type Store } from '../../../../nats/index.js'
import { advantages } from '../../../../src/protocol/advantages.js'
import { GRAIL_V5 } from '../../../../src/protocol/profile.js'
import { deriveEnvSeed } from '../../../../src/protocol/seed.js'
import { digestOf, encodeGroup } from '../../../../src/window/blob.js'
import { type Timers, timersOf } from '../../../../src/window/deadline.js'
import type { Group } from '../../../../src/window/group.js'
import { sampleGroup } from '../../../helpers/group.js'
import { brokerOf, inTime, startNats } from '../../../helpers/nats-server.js'

/** A digest of weights like any. */
export const WEIGHTS = 'a'.repeat(32)
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

/** One attempt at a file. */
export interface Attempt {
  number: number
  /** What was staged when it begins, in the journal's order. */
  journal: [index: number, weights: string][]
  /** Indices an earlier attempt has dropped. */
  before?: number[]
  /** weights_hash of the checkpoint's metadata. */
  published?: string
  timers?: Timers
  clock?: Clock
  /** Default: from the beginning. */
  sealNow?(): boolean
  /** Told of every signature: two for each of 16 rollouts. */
  onSign?(): void
  /** What stands between it and the staged groups. */
  rollouts?(there: Store): Store
  /** What happens while it waits; what it stages is in the journal from then on. */
  meanwhile?(stage: (index: number, weights: string) => Promise<void>): Promise<void>
}

/** Makes files of groups staged at a real broker; without signatures. Resolves with what is in the file, and what was dropped why. */
export async function fileMaker(t: Test) {
  const broker = await brokerOf(t, await startNats(t))
  await ensureStreams(broker, { replicas: 1, presenceMs: 4_000, leaseMs: 4_000, signal: inTime() })
  const rollouts = openStore(broker, ROLLOUTS)
  const { hotkey, windowHash, randomness, environment, model, window, epoch } = groupOf(0, WEIGHTS)
  const inAnHour = timersOf(Date.now() + 3_600_000, 10_000, 10_000)

  return async ({ number, journal, before = [], published = '', ...scene }: Attempt) => {
    const sign = () => {
      scene.onSign?.()
      return new Uint8Array(64)
    }
    const parts = {
      ...{
        broker,
        rollouts: scene.rollouts?.(rollouts) ?? rollouts,
        parts: openStore(broker, PARTS),
        clock: scene.clock ?? systemClock,
        profile: GRAIL_V5,
      },
      ...{ holes: 'keep', partBytes: PART_BYTES, hotkey: { ss58: hotkey, sign } },
    } as unknown as AssemblyParts
    const staged = new Map<number, Staged>()
    const stage = async (index: number, weights: string) => {
      const blob = encodeGroup(groupOf(index, weights))
      const digest = digestOf(blob)
      const object = `${window}/${epoch}/${index}/${digest}`
      await rollouts.put(object, blob, { signal: inTime() })
      staged.set(index, { object, digest } as Staged)
    }
    for (const [index, weights] of journal) await stage(index, weights)
    const dropped: Record<number, string> = {}
    const gathering: Gathering = {
      staged,
      burned: new Set(),
      isDropped: index => before.includes(index) || index in dropped,
      async drop(index, reason) {
        dropped[index] = reason
      },
      sealNow: scene.sealNow ?? (() => true),
      look: async () => scene.meanwhile?.(stage),
      stillOurs: async () => {},
    }
    const checkpoint = {
      window: model.checkpointWindow,
      modelName: model.modelName,
      weightsHash: published,
      environment,
    }
    const opened = { hotkey, hash: windowHash, randomness, checkpoint }
    const open = { window, epoch, opened, timers: scene.timers ?? inAnHour } as OpenWindow
    const sealed = await writeFile(open, number, gathering, parts, inTime())
    return { indices: [...indicesOf(sealed.indices)], dropped }
  }
}

import t from 'tap'
import { systemClock } from '../../../actors/actor.js'
import { assemble } from '../../../actors/aggregator/assembly.js'
import { assembling, sealed } from '../../../actors/aggregator/messages.js'
import type { AssemblyParts } from '../../../actors/aggregator/options.js'
import { entered } from '../../../actors/controller/messages.js'
import { ensureStreams } from '../../../actors/ensure.js'
import { staged } from '../../../actors/generator/messages.js'
import type { OpenWindow } from '../../../actors/windows.js'
import { announce } from '../../../nats/index.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../../helpers/nats-server.js'

// Groups that were staged while no aggregator lived, after the file had been sealed.

const holes = { window: 930, epoch: 1 }
const digestOf = (index: number) => String(index).repeat(64)

t.test('a window that is done before an aggregator lives again', { skip: natsServerAbsent }, async t => {
  const broker = await brokerOf(t, await startNats(t))
  const signal = inTime()
  await ensureStreams(broker, { replicas: 1, presenceMs: 4_000, leaseMs: 4_000, signal })
  const stage = (index: number) => {
    const seconds = { prompt: 0, generate: 1, prove: 0, reward: 0, stage: 0 }
    const said = { object: `930/1/${index}/x`, digest: digestOf(index), bytes: 1, rollouts: 16, checkpointWindow: 900 }
    const payload = { ...said, generator: 'generator-test-0', boot: 'b', seconds }
    return announce(broker, staged, { ...holes, index }, payload, { signal })
  }
  await announce(broker, assembling, holes, { attempt: 1, aggregator: 'dead' }, { signal })
  await stage(0)
  const seal = {
    ...{ attempt: 1, bytes: 1, parts: 1, groups: 1, rows: 16, sha256: '', indices: [[0, 0]] as [number, number][] },
    ...{ truncated: false, rehearsal: true, seconds: { read: 0, encode: 0, tail: 0 } },
  }
  await announce(broker, sealed, holes, seal, { signal })
  await stage(1)
  await announce(broker, entered, holes, { state: 'done' as const, atMs: Date.now(), why: '' }, { signal })
  await stage(2)

  const silent = () => {}
  const parts = {
    ...{ broker, clock: systemClock, instance: 'aggregator-test', boot: 'b' },
    log: { debug: silent, info: silent, warn: silent, error: silent },
  } as unknown as AssemblyParts
  const window = { ...holes, state: 'done', worthless: new AbortController().signal } as unknown as OpenWindow
  const first = await assemble(window, parts, signal)
  t.equal(first?.sealed?.attempt, 1, 'the file is the one that was sealed')
  const again = await assemble(window, parts, signal)
  t.same(again?.dropped, { late: 2 }, 'each has its reason, once')
})

import { type Log, systemClock } from '../../actors/actor.js'
import { runGenerator } from '../../actors/generator/generator.js'
import type { Workshop } from '../../actors/generator/make-group.js'
import { ROLLOUTS } from '../../actors/streams.js'
import { connectBroker, openStore } from '../../nats/index.js'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import { rehearsalEngine } from '../../src/engine/rehearsal.js'
import { openEnvironment } from '../../src/environment/index.js'
import { loadTokenizer } from '../../src/environment/tokenizer.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { serve } from '../measure/child.js'

// Many generators in one process: each with its own connection, presence and claims; tokenizer, problems and the rehearsal engine,
// which paces every group by itself, are shared, as a thousand of them would not fit on one machine.

export interface GeneratorsTask {
  servers: string[]
  checkpoint: Checkpoint
  /** Number of the first, and how many. */
  from: number
  count: number
  paceMs: number
  /** How long they mine, ms. */
  forMs: number
}

const silent = () => {}
const log: Log = { debug: silent, info: silent, warn: silent, error: silent }

serve(async (task: GeneratorsTask) => {
  const end = new AbortController()
  const { signal } = end
  const { checkpoint } = task
  const tokenizer = await loadTokenizer(checkpoint.folder)
  const engine = rehearsalEngine({ paceMs: task.paceMs })
  const facts = await engine.start(checkpoint, signal)
  const environment = await openEnvironment(checkpoint.metadata.environment, {
    params: {},
    stateFolder: '',
    warn: silent,
    signal,
  })
  const generators = await Promise.all(
    Array.from({ length: task.count }, async (_, i) => {
      const instance = `generator-bench-${task.from + i}`
      const broker = await connectBroker({ servers: task.servers, name: instance, signal })
      return { instance, broker }
    }),
  )
  return async (): Promise<{ ended: number }> => {
    const timer = setTimeout(() => end.abort(new Error('the benchmark is over')), task.forMs)
    const runs = generators.map(async ({ instance, broker }) => {
      const workshop = async (): Promise<Workshop> => ({
        ...{ profile: GRAIL_V5, metadata: checkpoint.metadata, engine, facts, environment, tokenizer },
      })
      await runGenerator(
        {
          ...{ broker, log, clock: systemClock, random: Math.random, instance, boot: String(process.pid), version: '' },
          ...{ host: 'bench', gpus: [], lanes: 1, rollouts: openStore(broker, ROLLOUTS), holes: 'keep' as const },
          checkpoint: async () => checkpoint,
          workshop,
          close: async () => {},
        },
        signal,
      )
      await broker.drain()
    })
    const ended = await Promise.allSettled(runs)
    clearTimeout(timer)
    const failed = ended.find(run => run.status === 'rejected')
    if (failed && !signal.aborted) throw failed.reason
    return { ended: ended.length }
  }
})

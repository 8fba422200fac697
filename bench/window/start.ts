import { decodePresence } from '../../actors/presence.js'
import { FLEET } from '../../actors/streams.js'
import type { World } from '../../test/helpers/world.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { cleanly, until } from '../measure/bounded.js'
import { cpuSecondsOf } from '../measure/process.js'
import { type Figure, figure } from '../report/figure.js'
import { short } from '../report/table.js'
import { logged, startFleet } from './fleet.js'

const GOAL_S = 2
const ROLES = ['controller', 'aggregator', 'uploader', 'generator-0']
/** No window ends while processes are restarted. */
const WINDOW_S = 3_600

/** Until its process says that it holds its role; a generator, that its engine waits for work. */
async function restart(world: World, name: string): Promise<{ seconds: number; cpu: number }> {
  const actor = world.actor(name)
  await actor.bury()
  let presentMs: number | undefined
  const heard = world.broker.nc.subscribe(`$KV.${FLEET}.generator-test-0`, {
    callback: (_, { data }) => {
      if (data.length > 0 && decodePresence(data).state === 'idle') presentMs ??= Date.now()
    },
  })
  const beganMs = Date.now()
  actor.start()
  const isGenerator = name.startsWith('generator')
  const active = () => logged(world, name, 'active').find(({ atMs }) => atMs >= beganMs)?.atMs
  const usefulMs = await until(`${name} is useful`, () => (isGenerator ? presentMs : active()), { everyMs: 5 })
  heard.unsubscribe()
  return { seconds: (usefulMs - beganMs) / 1_000, cpu: cpuSecondsOf(actor.pid) }
}

async function measure({ repetitions, say }: Circumstances): Promise<Figure[]> {
  return cleanly(async bench => {
    const world = await startFleet(bench, { generators: 1, windowSeconds: WINDOW_S })
    const figures: Figure[] = []
    for (const name of ROLES) {
      const starts: Awaited<ReturnType<typeof restart>>[] = []
      for (let repetition = 0; repetition < repetitions; repetition++) starts.push(await restart(world, name))
      say(`${name}: ${starts.map(({ seconds }) => short(seconds)).join(', ')} s`)
      const role = name.replace('-0', '')
      figures.push(
        figure({
          id: `start.${role}`,
          title: `restart of the ${role} until it is useful`,
          unit: 's',
          values: starts.map(({ seconds }) => seconds),
          goal: { of: 'value', is: 'at most', limit: GOAL_S },
        }),
        figure({
          id: `start.${role}.cpu`,
          title: `  CPU it takes`,
          unit: 's',
          values: starts.map(({ cpu }) => cpu),
        }),
      )
    }
    return figures
  })
}

export const start: Benchmark = {
  name: 'start',
  about: 'an actor that is started again, until it is useful',
  run: measure,
}

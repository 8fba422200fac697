import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { startWorld } from '../../test/helpers/world.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { cleanly } from '../measure/bounded.js'
import { memoryOf } from '../measure/process.js'
import { median } from '../measure/statistics.js'
import { type Figure, figure } from '../report/figure.js'
import { lineChart } from '../report/line-chart.js'
import { short } from '../report/table.js'
import { eventOf } from '../window/fleet.js'

const WINDOWS = 50
const GENERATORS = 8
/** A window of 15 s: the shortest that leaves its 10 s of tail and slack 5 s to mine in. */
const BLOCK_MS = 500
const PACE_MS = 500
const MAX_TOKENS = 256
const ROLES = ['controller', 'aggregator', 'uploader']
/** Windows at the end, and as many after all code was compiled and all buffers had grown, whose medians are compared. */
const COMPARED = 10
/** Memory is flat when it is at most this many times what it was: V8 gives a collected heap back late. */
const FLAT = 1.1
const PATIENCE_MS = 120_000
const MEGA = 1e6

async function measure({ draw, say }: Circumstances): Promise<Figure[]> {
  return cleanly(async bench => {
    const world = await startWorld(bench, {
      generators: GENERATORS,
      blockMs: BLOCK_MS,
      paceMs: PACE_MS,
      maxTokens: MAX_TOKENS,
    })
    const first = await eventOf(world, 'opened', () => true, PATIENCE_MS)
    const pids = ROLES.map(name => world.actor(name).pid)
    const memory = new Map(ROLES.map((name): [string, number[]] => [name, []]))
    for (let nth = 0; nth < WINDOWS; nth++) {
      const window = first.window + nth * WINDOW_BLOCKS
      const { payload } = await eventOf(world, 'summarised', event => event.window === window, PATIENCE_MS)
      for (const [i, name] of ROLES.entries()) memory.get(name)?.push(memoryOf(pids[i] as number).now / MEGA)
      if ((nth + 1) % COMPARED === 0)
        say(
          `window ${nth + 1}, ${payload.state}: ${ROLES.map(name => short(memory.get(name)?.at(-1) as number)).join(' / ')} MB`,
        )
    }
    if (ROLES.some((name, i) => world.actor(name).pid !== pids[i])) throw new Error('an actor ended meanwhile')
    const title = `Memory over ${WINDOWS} windows, ${GENERATORS} generators`
    draw(
      'memory-windows',
      title,
      lineChart({
        title,
        x: { label: 'windows of 15 s' },
        y: { label: 'memory in use, MB' },
        series: ROLES.map(name => ({
          name,
          points: (memory.get(name) ?? []).map((megabytes, nth): [number, number] => [nth + 1, megabytes]),
        })),
      }),
    )
    return ROLES.map(name => {
      const all = memory.get(name) ?? []
      return figure({
        id: `flatness.${name}`,
        title: `memory of the ${name} in the last ${COMPARED} of ${WINDOWS} windows`,
        unit: 'MB',
        values: [median(all.slice(-COMPARED))],
        baseline: {
          name: `in windows ${COMPARED + 1} to ${2 * COMPARED}`,
          values: [median(all.slice(COMPARED, 2 * COMPARED))],
        },
        ...(name === 'controller' ? { goal: { of: 'ratio', is: 'at most', limit: FLAT } } : {}),
      })
    })
  })
}

export const flatness: Benchmark = {
  name: 'flatness',
  about: `memory of the roles over ${WINDOWS} windows (long form)`,
  only: 'long',
  run: measure,
}

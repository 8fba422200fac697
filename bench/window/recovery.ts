import { setTimeout as sleep } from 'node:timers/promises'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { decodeClaim } from '../../src/window/claim.js'
import { describe, type World } from '../../test/helpers/world.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { startCluster, untilLed } from '../claims/cluster.js'
import { cleanly, until } from '../measure/bounded.js'
import { type Figure, figure } from '../report/figure.js'
import { short } from '../report/table.js'
import { eventOf, logged, type Of, startFleet } from './fleet.js'
import { killLeader } from './leader.js'

const WINDOW_S = 60
const GENERATORS = 5
const GENERATOR_GOAL_S = 10
const BROKER_GOAL_S = 6
const PATIENCE_MS = 180_000
/** Where in a window somebody is killed, of the time from block W to the end of draining. */
const KILLS = [0.05, 0.3, 0.55]
const AGGREGATOR_AT = 0.9
/**
 * Kills of the server that leads a cluster of three. Its two followers wait 4 to 9 s, drawn anew each time, and the sooner one asks to
 * be elected: half of all elections come within 5.5 s, and the median of nine was often second to chance.
 */
const LEADER_KILLS = 15
/** Names the buckets that are claimed from on the cluster. */
const FIRST_WINDOW = 30
/** supervisord starts what died again after this, ms. */
const RESTART_MS = 200

/** Waits for a point of a window. */
async function reach({ payload: { startMs, timers } }: Of<'opened'>, share: number): Promise<void> {
  await sleep(Math.max(0, startMs + (timers.drainEndMs - startMs) * share - Date.now()))
}

/** kill -9 of a generator with a group in hand, and it stays dead; seconds until another has its index. */
async function killGenerator(world: World, window: number, number: number): Promise<number> {
  const instance = `generator-test-${number}`
  const index = await until('a claim it has not staged', () => {
    const mine = (world.claims.get(`${window}.1`) ?? []).filter(
      ({ value }) => decodeClaim(value).generator === instance,
    )
    const last = mine.at(-1)?.index
    const staged = world.events.some(
      event => event.kind === 'staged' && event.window === window && event.index === last,
    )
    return staged ? undefined : last
  })
  const killedMs = Date.now()
  await world.actor(`generator-${number}`).bury()
  const found = await until(
    `index ${index} is taken over`,
    () =>
      Array.from({ length: GENERATORS }, (_, i) =>
        logged(world, `generator-${i}`, 'took over an index of a dead generator').find(
          ({ atMs, fields }) => atMs > killedMs && fields.index === index && fields.window === window,
        ),
      ).find(taken => taken !== undefined),
    { withinMs: PATIENCE_MS },
  )
  world.actor(`generator-${number}`).start()
  return (found.atMs - killedMs) / 1_000
}

/** kill -9 of the broker, restarted as supervisord does; seconds until a claim is stored again. */
async function killBroker(world: World, window: number): Promise<number> {
  const killedMs = Date.now()
  await world.nats.kill()
  await sleep(RESTART_MS)
  await world.nats.restart()
  const claim = await until(
    'a claim after the restart',
    () => (world.claims.get(`${window}.1`) ?? []).find(({ timeMs }) => timeMs > killedMs),
    { withinMs: PATIENCE_MS },
  )
  return (claim.timeMs - killedMs) / 1_000
}

/** kill -9 of the aggregator late in a window; seconds that are left before the deadline when the object is there. */
async function killAggregator(world: World, opened: Of<'opened'>): Promise<{ sealed: number; left: number }> {
  await reach(opened, AGGREGATOR_AT)
  const killedMs = Date.now()
  await world.actor('aggregator').kill()
  const sealed = await eventOf(world, 'sealed', event => event.window === opened.window, PATIENCE_MS)
  const { payload } = await eventOf(world, 'summarised', event => event.window === opened.window, PATIENCE_MS)
  if (payload.state !== 'UPLOADED')
    throw new Error(`window ${opened.window}: ${payload.state} (${payload.reason})${describe(world)}`)
  const { timers } = opened.payload
  return { sealed: (sealed.timeMs - killedMs) / 1_000, left: (timers.completeByMs - sealed.timeMs) / 1_000 }
}

/** kill -9 of the leader of the claims' stream, three servers; seconds without a claim. */
async function killLeaders(say: Circumstances['say']): Promise<number[]> {
  return cleanly(async bench => {
    const cluster = await startCluster(bench)
    await untilLed(cluster.map(({ url }) => url))
    const stalls: number[] = []
    for (let kill = 0; kill < LEADER_KILLS; kill++) {
      stalls.push(await killLeader(cluster, FIRST_WINDOW + kill))
      say(`the leader of three servers killed: no claim for ${short(stalls.at(-1) as number)} s`)
    }
    return stalls
  })
}

async function measure({ say }: Circumstances): Promise<Figure[]> {
  const leader = await killLeaders(say)
  return cleanly(async bench => {
    const world = await startFleet(bench, { generators: GENERATORS, windowSeconds: WINDOW_S })
    const first = await eventOf(world, 'opened', () => true, PATIENCE_MS)
    const generator: number[] = []
    for (const [i, share] of KILLS.entries()) {
      await reach(first, share)
      generator.push(await killGenerator(world, first.window, i))
      say(`a generator killed: its index was taken over after ${short(generator.at(-1) as number)} s`)
    }
    const aggregator = [await killAggregator(world, first)]
    const second = await eventOf(world, 'opened', event => event.window === first.window + WINDOW_BLOCKS, PATIENCE_MS)
    const broker: number[] = []
    for (const share of KILLS) {
      await reach(second, share)
      broker.push(await killBroker(world, second.window))
      say(`the broker killed: claims flow after ${short(broker.at(-1) as number)} s`)
    }
    aggregator.push(await killAggregator(world, second))
    for (const { sealed, left } of aggregator)
      say(`the aggregator killed at 90 %: sealed ${short(sealed)} s later, ${short(left)} s before it had to be`)
    return [
      figure({
        id: 'recovery.generator',
        title: 'kill -9 of a generator: its index is claimed anew',
        unit: 's',
        values: generator,
        goal: { of: 'value', is: 'at most', limit: GENERATOR_GOAL_S },
      }),
      figure({
        id: 'recovery.aggregator.sealed',
        title: 'kill -9 of the aggregator at 90 % of the window: file sealed after',
        unit: 's',
        values: aggregator.map(({ sealed }) => sealed),
      }),
      figure({
        id: 'recovery.aggregator',
        title: 'kill -9 of the aggregator at 90 % of the window: sealed before the object must be complete',
        unit: 's',
        values: aggregator.map(({ left }) => left),
        goal: { of: 'value', is: 'at least', limit: 0 },
      }),
      figure({
        id: 'recovery.leader',
        title: 'kill -9 of the NATS leader (R3): claims flow',
        unit: 's',
        values: leader,
        goal: { of: 'value', is: 'at most', limit: BROKER_GOAL_S },
      }),
      figure({
        id: 'recovery.broker',
        title: 'kill -9 of the only nats-server (R1), restarted: claims flow',
        unit: 's',
        values: broker,
        goal: { of: 'value', is: 'at most', limit: BROKER_GOAL_S },
      }),
    ]
  })
}

export const recovery: Benchmark = {
  name: 'recovery',
  about: 'kill -9 of a generator, of the aggregator at 90 % of the window, of the leading nats-server',
  run: measure,
}

import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { EVENTS } from '../../actors/streams.js'
import { invariants } from '../helpers/invariants.js'
import { natsServerAbsent, until } from '../helpers/nats-server.js'
import { becomes } from '../helpers/outcome.js'
import { PATIENCE_MS, startWorld, type World } from '../helpers/world.js'

// Consecutive windows with eight generators, nothing broken: what is used must not grow. Ten windows with LONG=1 in the
// environment, as they are asked for; four otherwise, which find a leak of the same size per window.

const LONG = process.env.LONG === '1'
const WINDOWS = LONG ? 10 : 4
/** Windows whose medians are compared: after everything was loaded and compiled once, and at the end. */
const EARLY = LONG ? [4, 5] : [2]
const LATE = LONG ? [9, 10] : [4]
const GENERATORS = 8
/** A window of 15 s: the shortest that leaves its 10 s of tail and slack 5 s to mine in. */
const BLOCK_MS = 500
/**
 * What a process's memory may differ by between two moments without a leak, MiB: the heap of a process of 100 MiB grows and
 * shrinks by so much between two collections. A leak of a group's blob per group would be 20 MiB in two windows.
 */
const RSS_TOLERANCE_MIB = 16
/** Sockets and files that come and go with a part or a window. */
const FD_TOLERANCE = 2
const KIB_PER_MIB = 1_024

interface Use {
  name: string
  window: number
  rssMib: number
  files: number
}

t.setTimeout(LONG ? 2 * PATIENCE_MS : PATIENCE_MS)
t.test(`${WINDOWS} consecutive windows`, { skip: natsServerAbsent, timeout: 2 * PATIENCE_MS }, async t => {
  const world = await startWorld(t, { generators: GENERATORS, blockMs: BLOCK_MS, paceMs: 500, maxTokens: 256 })
  const pids = new Map([...world.actors.values()].map(({ name, pid }) => [name, pid]))
  const used: Use[] = []
  const { window: first } = await world.event('opened')
  for (let nth = 1; nth <= WINDOWS; nth++) {
    const window = first + (nth - 1) * 30
    await world.event('opened', event => event.window === window)
    used.push(...measure(world, nth))
    await world.event('sealed', event => event.window === window)
    used.push(...measure(world, nth))
    await becomes(t, world, { window, state: 'UPLOADED' })
    used.push(...measure(world, nth))
  }

  await t.test('memory and open files of every actor are flat', async t => {
    for (const [name, pid] of pids) {
      t.equal(world.actor(name).pid, pid, `${name} is the process it was`)
      const of = (windows: number[], what: 'rssMib' | 'files') =>
        median(used.filter(use => use.name === name && windows.includes(use.window)).map(use => use[what]))
      const [early, late] = [of(EARLY, 'rssMib'), of(LATE, 'rssMib')]
      t.ok(
        late - early <= RSS_TOLERANCE_MIB,
        `${name}: ${Math.round(early)} MiB in windows ${EARLY}, ${Math.round(late)} in ${LATE}`,
      )
      t.ok(of(LATE, 'files') - of(EARLY, 'files') <= FD_TOLERANCE, `${name}: ${of(LATE, 'files')} open files`)
    }
  })

  await t.test('readers of the journal are as many as there are processes, and the test', async t => {
    const readers = await until('readers of past windows are gone', async () => {
      const { state } = await world.broker.jsm.streams.info(EVENTS)
      return state.consumer_count <= pids.size + 1 && state.consumer_count
    })
    t.equal(readers, pids.size + 1)
  })
  await invariants(t, world)
})

function measure(world: World, window: number): Use[] {
  return [...world.actors.values()].map(({ name, pid }) => {
    const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return { name, window, rssMib: Number(kib) / KIB_PER_MIB, files: readdirSync(`/proc/${pid}/fd`).length }
  })
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { EVENTS } from '../../actors/streams.js'
import { collectGarbage, INSPECTABLE } from '../helpers/garbage.js'
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
 * What memory in use may differ by without a leak, MiB, right after garbage was collected: code compiled late, a blob on its
 * way. A leak of one blob (30 KB) per group would be 2.5 MiB per window in the aggregator.
 */
const HEAP_TOLERANCE_MIB = 3
const EXTERNAL_TOLERANCE_MIB = 4
/** The system counts pages the allocator has not given back, too: two parts of 8 MiB being sent, and as much among live objects. */
const RSS_TOLERANCE_MIB = 32
/** Sockets and files that come and go with a part or a window. */
const FD_TOLERANCE = 2
const KIB_PER_MIB = 1_024
const MIB = 1_024 * KIB_PER_MIB

interface Use {
  name: string
  window: number
  heapMib: number
  externalMib: number
  rssMib: number
  files: number
}

t.setTimeout(LONG ? 2 * PATIENCE_MS : PATIENCE_MS)
t.test(`${WINDOWS} consecutive windows`, { skip: natsServerAbsent, timeout: 2 * PATIENCE_MS }, async t => {
  const world = await startWorld(t, {
    generators: GENERATORS,
    blockMs: BLOCK_MS,
    paceMs: 500,
    maxTokens: 256,
    nodeArgs: INSPECTABLE,
  })
  const pids = new Map([...world.actors.values()].map(({ name, pid }) => [name, pid]))
  const used: Use[] = []
  const { window: first } = await world.event('opened')
  for (let nth = 1; nth <= WINDOWS; nth++) {
    const window = first + (nth - 1) * 30
    await becomes(t, world, { window, state: 'UPLOADED' })
    if (EARLY.includes(nth) || LATE.includes(nth)) used.push(...(await measure(world, nth)))
  }

  await t.test('memory and open files of every actor are flat', async t => {
    for (const [name, pid] of pids) {
      t.equal(world.actor(name).pid, pid, `${name} is the process it was`)
      const grows = (what: 'heapMib' | 'externalMib' | 'rssMib' | 'files', unit: string, tolerance: number) => {
        const [early, late] = [EARLY, LATE].map(windows =>
          median(used.filter(use => use.name === name && windows.includes(use.window)).map(use => use[what])),
        ) as [number, number]
        const text = `${name}: ${early.toFixed(1)} ${unit} after window ${EARLY}, ${late.toFixed(1)} after ${LATE}`
        t.ok(late - early <= tolerance, text)
      }
      grows('heapMib', 'MiB of heap', HEAP_TOLERANCE_MIB)
      grows('externalMib', 'MiB outside of the heap', EXTERNAL_TOLERANCE_MIB)
      grows('rssMib', 'MiB resident', RSS_TOLERANCE_MIB)
      grows('files', 'open files', FD_TOLERANCE)
    }
  })

  await t.test('readers of the journal are as many as there are processes, and the test', async t => {
    const readers = await until('readers of past windows are gone', async () => {
      const { state } = await world.broker.jsm.streams.info(EVENTS)
      return state.consumer_count <= pids.size + 1 && state.consumer_count
    })
    t.equal(readers, pids.size + 1, 'none was left behind')
  })
  await invariants(t, world)
})

/** One after the other: collecting takes a core. */
async function measure(world: World, window: number): Promise<Use[]> {
  const used: Use[] = []
  for (const actor of world.actors.values()) {
    const { heap, external } = await collectGarbage(actor)
    const kib = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${actor.pid}/status`, 'utf8'))?.[1])
    const files = readdirSync(`/proc/${actor.pid}/fd`).length
    used.push({
      name: actor.name,
      window,
      heapMib: heap / MIB,
      externalMib: external / MIB,
      rssMib: kib / KIB_PER_MIB,
      files,
    })
  }
  return used
}

/** The lower one of two. */
function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN
}

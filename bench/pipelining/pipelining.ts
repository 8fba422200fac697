import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { workerPythonAbsent } from '../../test/helpers/worker-python.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { cleanly } from '../measure/bounded.js'
import type { Figure } from '../report/figure.js'
import { eventOf, type Of } from '../window/fleet.js'
import { groupsWithin, type Span } from './account.js'
import { generateAlone } from './alone.js'
import { figuresOf, type Measured } from './figures.js'
import { limitAt, type Pace, type PacedFleet, startPacedFleet } from './fleet.js'

/**
 * A group takes 5 to 10 s here, a sixth of what it takes a real server as the window is a sixth of a real one, and its proof
 * on one core about a tenth of what passes from one group to the next.
 */
const PACE: Pace = { stepMs: 20, places: 32, body: 140, maxTokens: 384 }
/** One window by day; then the third of 360 s, when the number of groups in flight has been measured. */
const FORMS = { day: { seconds: 60, warmUp: 0 }, long: { seconds: 360, warmUp: 2 } }
const SECOND_MS = 1_000
const EOS = 2
/** Of a SAT problem, in a tokenizer whose tokens are bytes. */
const PROMPT_TOKENS = 480

/** The groups of one window, from its opening on. */
async function windowIsOver({ world, record }: PacedFleet, opened: Of<'opened'>, patienceMs: number): Promise<Span> {
  const { window, payload } = opened
  await eventOf(world, 'state', event => event.window === window && event.payload.state === 'sealing', patienceMs)
  // No further window: the server is wanted for what this one is compared with.
  world.chain.stall(true)
  await eventOf(world, 'summarised', event => event.window === window, patienceMs)
  return arrivals(groupsWithin(await record(), { fromMs: opened.timeMs, toMs: payload.timers.deadlineMs }))
}

/** The same server for as long, kept as full as its engine had kept it, and nothing else. */
async function aloneAfter({ server, record, limits }: PacedFleet, fleet: Span): Promise<Span> {
  const fromMs = Date.now()
  await generateAlone(server, {
    generation: { maxTokens: PACE.maxTokens, temperature: 1, topP: 1, topK: 0, repetitionPenalty: 1 },
    eosTokenId: EOS,
    groupSize: GRAIL_V5.groupSize,
    promptTokens: PROMPT_TOKENS,
    ms: fleet.toMs - fleet.fromMs,
    limitAt: ms => limitAt(limits, fleet.fromMs + ms),
  })
  const first = arrivals(groupsWithin(await record(), { fromMs, toMs: Date.now() })).fromMs
  return { fromMs: first, toMs: first + (fleet.toMs - fleet.fromMs) }
}

/** From the first group's arrival to the last one's. */
function arrivals(groups: readonly { arrivedMs: number }[]): Span {
  const [first, last] = [groups[0], groups.at(-1)]
  if (!first || !last) throw new Error('no group came to the server')
  return { fromMs: first.arrivedMs, toMs: last.arrivedMs }
}

async function run({ long, draw, say }: Circumstances): Promise<Figure[]> {
  if (workerPythonAbsent) {
    say(`skipped: ${workerPythonAbsent}`)
    return []
  }
  const { seconds, warmUp } = long ? FORMS.long : FORMS.day
  return cleanly(async bench => {
    const folder = mkdtempSync(join(tmpdir(), 'grail-pipelining-'))
    bench.teardown(async () => rmSync(folder, { recursive: true, force: true }))
    const fleet = await startPacedFleet(bench, { folder, pace: PACE, windowSeconds: seconds })
    // However long the fleet took to start.
    fleet.world.chain.setBlockTime((seconds / WINDOW_BLOCKS) * SECOND_MS)
    const patienceMs = 2 * seconds * SECOND_MS
    const first = await eventOf(fleet.world, 'opened', () => true, patienceMs)
    const window = first.window + warmUp * WINDOW_BLOCKS
    const opened = await eventOf(fleet.world, 'opened', event => event.window === window, (warmUp + 1) * patienceMs)
    const inWindow = await windowIsOver(fleet, opened, patienceMs)
    const alone = await aloneAfter(fleet, inWindow)
    const measured: Measured = { pace: PACE, seconds, opened, inWindow, alone, record: await fleet.record() }
    return figuresOf(fleet, measured, { draw, say })
  })
}

export const pipelining: Benchmark = {
  name: 'pipelining',
  about: 'how idle a generation server is beside proofs and coordination, against one that only generates',
  run,
}

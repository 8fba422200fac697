import t from 'tap'
import type { JournalEvent } from '../../actors/journal.js'
import { accountOf } from '../../bench/window/account.js'
import { generatorName, type Of } from '../../bench/window/fleet.js'
import { DEADLINE_SLACK_MS } from '../../src/window/block.js'
import { COMPLETE_BEFORE_MS } from '../../src/window/deadline.js'
import type { World } from '../helpers/world.js'

// What the benchmark of window use makes of a journal: a window of 100 s, draining ends after 90 s, the tail takes 2 s.

const WINDOW = 900
const WHOLE_S = 100
const DRAIN_END_S = 90
const TAIL_S = 2

interface Group {
  gpu: number
  /** At the engine from … to, seconds after block W. */
  from: number
  to: number
  /** Why it is not in the file. */
  lost?: string
}

function worldOf(groups: Group[], claims = groups.length): { world: World; opened: Of<'opened'> } {
  const event = (kind: string, atS: number, payload: object, index = -1) =>
    ({ kind, window: WINDOW, epoch: 1, index, seq: 0, timeMs: atS * 1_000, payload }) as unknown as JournalEvent
  const timers = { deadlineMs: WHOLE_S * 1_000 - DEADLINE_SLACK_MS, drainEndMs: DRAIN_END_S * 1_000 }
  const opened = event('opened', 0, { startMs: 0, timers }) as Of<'opened'>
  const events = groups.flatMap(({ gpu, from, to, lost }, index) => {
    const seconds = { prompt: 0, generate: to - from, prove: 0, reward: 0, stage: 0 }
    const staged = event('staged', to, { generator: generatorName(gpu), seconds }, index)
    return lost === undefined ? [staged] : [staged, event('dropped', to, { reason: lost }, index)]
  })
  const indices = groups.flatMap(({ lost }, index) => (lost === undefined ? [[index, index]] : []))
  const ends = [
    event('sealed', DRAIN_END_S, { indices }),
    event('summarised', DRAIN_END_S + TAIL_S, { seconds: { tail: TAIL_S } }),
  ]
  const claimed = Array.from({ length: claims }, (_, index) => ({ index }))
  const world = { events: [opened, ...events, ...ends], claims: new Map([[`${WINDOW}.1`, claimed]]) }
  return { world: world as unknown as World, opened }
}

t.test('a GPU was used while it was at work on groups that are in the file', t => {
  const one = [
    { gpu: 0, from: 0, to: 40 },
    { gpu: 0, from: 41, to: 80 },
  ]
  const cases: [what: string, groups: Group[], gpus: { generators: number; groups: number }, use: number][] = [
    ['one after the other, with a pause', one, { generators: 1, groups: 1 }, 0.79],
    ['another GPU made nothing', one, { generators: 2, groups: 1 }, 0.395],
    [
      'a group that came too late counts for nothing',
      [...one, { gpu: 0, from: 80, to: 90, lost: 'late' }],
      { generators: 1, groups: 1 },
      0.79,
    ],
    ['what it did at once counts once', [...one, { gpu: 0, from: 10, to: 85 }], { generators: 1, groups: 2 }, 0.85],
  ]
  for (const [what, groups, gpus, use] of cases) {
    const { world, opened } = worldOf(groups)
    t.equal(Math.round(accountOf(world, opened, gpus).use * 1e6) / 1e6, use, what)
  }
  t.end()
})

t.test('beside it stands what was lost where', t => {
  const { world, opened } = worldOf(
    [
      { gpu: 0, from: 1, to: 40 },
      { gpu: 0, from: 42, to: 80 },
      { gpu: 0, from: 20, to: 60 },
      { gpu: 0, from: 80, to: 92, lost: 'late' },
      { gpu: 0, from: 70, to: 89, lost: 'no-time' },
      { gpu: 0, from: 3, to: 5, lost: 'short' },
    ],
    8,
  )
  const { start, unfinished, margin, tail, pauses, late, groups, undone, filled } = accountOf(world, opened, {
    generators: 1,
    groups: 2,
  })
  t.match(
    { start, unfinished, margin, tail, pauses, late, groups, undone },
    { start: 1, unfinished: 10, margin: 10, tail: 2, pauses: [], late: 2, groups: 3, undone: 2 },
  )
  t.equal(filled, (39 + 38 + 40) / (2 * WHOLE_S), 'of each of two groups it has at once')
  t.end()
})

t.test('the most that groups allow is all but the margins of the protocol, the tail, and what was begun last', t => {
  const fixed = DEADLINE_SLACK_MS / 1_000 + COMPLETE_BEFORE_MS / 1_000 + TAIL_S
  // Lengths of 8 to 12 s, all as frequent: E[x²] / 2 E[x] is 5.067 s.
  const even = Array.from({ length: 401 }, (_, i) => ({ gpu: 0, from: 0, to: 8 + i / 100 }))
  const alike = [{ gpu: 0, from: 0, to: 10 }]
  const cases: [what: string, groups: Group[], atOnce: number, lost: number][] = [
    ['groups of 10 s: half of one', alike, 1, 5],
    ['of 8 to 12 s', even, 1, 5.067],
    ['of four at once the newest', alike, 4, 2],
  ]
  for (const [what, groups, atOnce, lost] of cases) {
    const { world, opened } = worldOf(groups)
    const { most } = accountOf(world, opened, { generators: 1, groups: atOnce })
    t.ok(Math.abs((1 - most) * WHOLE_S - fixed - lost) < 0.01, what, { most, lost })
  }
  t.end()
})

t.test('a window without a verified object has no account', t => {
  const { world, opened } = worldOf([{ gpu: 0, from: 0, to: 10 }])
  const without = (kind: string) => ({ ...world, events: world.events.filter(event => event.kind !== kind) }) as World
  for (const kind of ['sealed', 'summarised'])
    t.throws(() => accountOf(without(kind), opened, { generators: 1, groups: 1 }), new RegExp(`was not ${kind}`), kind)
  t.end()
})

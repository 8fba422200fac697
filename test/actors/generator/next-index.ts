import t from 'tap'
import type { Desk } from '../../../actors/generator/desk.js'
import { claimingAhead } from '../../../actors/generator/next-index.js'
import type { OpenWindow } from '../../../actors/windows.js'
import { LIST_GRACE_MS } from '../../../src/window/claim.js'
import type { HolePolicy } from '../../../src/window/holes.js'

// The clock is the test's: a group takes 10 s, draining ends at 60 s.

const GROUP_MS = 10_000
const DRAIN_END_MS = 60_000

interface Scene {
  taken: number[]
  ended: number[]
  next(window: OpenWindow): Promise<number | undefined>
  ahead(window: OpenWindow): void
  giveBack(): void
  /** Lets time pass, and everything that follows from it. */
  pass(ms: number): Promise<void>
  /** An index of a dead generator waits for whoever is ready first. */
  orphan(): void
  /** The broker refuses from now on. */
  refuse(error: Error | undefined): void
}

const windowOf = (window: number) =>
  ({
    window,
    epoch: 1,
    state: 'generating',
    timers: { claimsCloseMs: DRAIN_END_MS - GROUP_MS, drainEndMs: DRAIN_END_MS },
  }) as OpenWindow

function scene(holes: HolePolicy = 'keep'): Scene {
  let now = 0
  let refusal: Error | undefined
  let orphans = false
  const sleeping = new Set<{ untilMs: number; wake(): void }>()
  const taken: number[] = []
  const ended: number[] = []
  const settle = () => new Promise<void>(resolve => setImmediate(resolve))
  const clock = {
    now: () => now,
    sleep: (ms: number, signal: AbortSignal) =>
      new Promise<void>(resolve => {
        const sleeper = { untilMs: now + ms, wake: resolve }
        sleeping.add(sleeper)
        signal.addEventListener('abort', () => resolve(), { once: true })
      }),
  }
  const desk = {
    parts: { clock, holes },
    inFlight: { end: (_: OpenWindow, index: number) => ended.push(index) },
    pace: { groupMs: () => GROUP_MS, luckyMs: () => GROUP_MS },
    signal: new AbortController().signal,
  } as unknown as Desk
  const take = async () => {
    if (refusal) throw refusal
    taken.push(taken.length)
    return taken.length - 1
  }
  const indices = claimingAhead(desk, { now: take, ahead: async () => (orphans ? undefined : take()) })
  return {
    ...indices,
    taken,
    ended,
    async pass(ms) {
      now += ms
      for (const sleeper of sleeping)
        if (sleeper.untilMs <= now) {
          sleeping.delete(sleeper)
          sleeper.wake()
        }
      await settle()
    },
    orphan: () => {
      orphans = true
    },
    refuse: error => {
      refusal = error
    },
  }
}

await t.test('half way through a group the next index is claimed, and lies ready when the group ends', async t => {
  const { taken, next, ahead, pass } = scene()
  const window = windowOf(30)
  t.equal(await next(window), 0)
  ahead(window)
  await pass(4_999)
  t.same(taken, [0], 'not before')
  await pass(1)
  t.same(taken, [0, 1])
  await pass(5_000)
  t.equal(await next(window), 1)
  t.same(taken, [0, 1], 'nothing more was asked of the broker')
})

await t.test('a group that ends sooner than half of what is expected takes an index then', async t => {
  const { taken, next, ahead, pass } = scene()
  const window = windowOf(30)
  await next(window)
  ahead(window)
  await pass(1_000)
  t.equal(await next(window), 1)
  await pass(10_000)
  t.same(taken, [0, 1], 'and the one that was to be claimed ahead is not')
})

await t.test('no index is claimed ahead for which there will be no time', async t => {
  const { taken, next, ahead, pass } = scene()
  const window = windowOf(30)
  await next(window)
  // A group that begins at 41 s ends at 51 s: its successor would end at 61 s.
  await pass(41_000)
  ahead(window)
  await pass(5_000)
  t.same(taken, [0])
})

await t.test('where a hole cuts off the file there must be time for another generator to make it', async t => {
  // Asked half way: then two groups must fit, and the grace after which an index that was given back is an orphan.
  const latestMs = DRAIN_END_MS - 2 * GROUP_MS - LIST_GRACE_MS
  for (const [holes, atMs, taken] of [
    ['truncate', latestMs, [0, 1]],
    ['truncate', latestMs + 1, [0]],
    ['keep', latestMs + 1, [0, 1]],
  ] as const) {
    const of = scene(holes)
    const window = windowOf(30)
    await of.next(window)
    await of.pass(atMs - GROUP_MS / 2)
    of.ahead(window)
    await of.pass(GROUP_MS / 2)
    t.same(of.taken, taken, `${holes}, ${DRAIN_END_MS - atMs} ms before draining ends`)
  }
})

await t.test(
  'while an index of a dead generator waits, none is claimed ahead: it is for whoever is ready first',
  async t => {
    const { taken, next, ahead, pass, orphan } = scene()
    const window = windowOf(30)
    await next(window)
    orphan()
    ahead(window)
    await pass(5_000)
    t.same(taken, [0])
    t.equal(await next(window), 1, 'this generator, when it is')
  },
)

await t.test('what was claimed ahead is left to others', async t => {
  const cases: [title: string, how: (of: Scene) => Promise<number | undefined> | undefined, ended: number[]][] = [
    ['when this generator rests', of => void of.giveBack(), [1]],
    ['when another window is open', of => of.next(windowOf(60)), [1]],
    ['not when it is worked on', of => of.next(of30), []],
  ]
  const of30 = windowOf(30)
  for (const [title, how, ended] of cases) {
    const of = scene()
    await of.next(of30)
    of.ahead(of30)
    await of.pass(5_000)
    await how(of)
    await of.pass(0)
    t.same(of.ended, ended, title)
  }
})

await t.test(
  'a claim that failed ahead of time is made again when it is needed, and its error is told then',
  async t => {
    const { next, ahead, pass, refuse } = scene()
    const window = windowOf(30)
    await next(window)
    for (const [error, title] of [
      [new Error('the broker is away'), 'still away'],
      [undefined, 'back'],
    ] as const) {
      refuse(new Error('the broker is away'))
      ahead(window)
      await pass(5_000)
      refuse(error)
      if (error) await t.rejects(next(window), error, title)
      else t.equal(await next(window), 1, title)
    }
  },
)

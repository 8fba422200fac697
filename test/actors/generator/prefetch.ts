import t from 'tap'
import type { CheckpointName } from '../../../actors/controller/messages.js'
import { prefetchNext } from '../../../actors/generator/prefetch.js'
import { checkpointOf, named, type Outside, outside, settled } from './helpers/parts.js'

// The checkpoint of the next window comes while the running one goes on: in the background, again and again if need be.

const fetching = { haste: 'ahead' as const, keep: () => [] }

function prefetchOf(t: { teardown(fn: () => void): unknown }, world: Outside) {
  const end = new AbortController()
  t.teardown(() => end.abort())
  let wanted: CheckpointName | undefined
  let told = 0
  const prefetch = prefetchNext(world.parts, {
    wanted: () => wanted,
    fetching,
    onFetched: () => void told++,
    signal: end.signal,
  })
  return {
    ...prefetch,
    end,
    told: () => told,
    async want(name: CheckpointName | undefined) {
      wanted = name
      prefetch.look()
      await settled()
    },
    async pass(ms: number) {
      world.clock.pass(ms)
      await settled()
    },
  }
}

t.test('what is wanted is fetched once, in the background', async t => {
  const world = outside()
  const prefetch = prefetchOf(t, world)
  await prefetch.want(undefined)
  t.same(world.done, [], 'nothing is known: nothing is fetched')
  await prefetch.want(named(930))
  await prefetch.want(named(930))
  t.same(world.done, ['fetch 930 ahead'])
  t.equal(prefetch.told(), 1)
  t.match(prefetch.fetched(named(930)), { metadata: { window: 930 } })
  t.equal(prefetch.fetched(named(900)), undefined)
  t.equal(prefetch.fetched(named(930, 'f'.repeat(32))), undefined, 'another trainer’s is another one')
})

t.test('what nobody wants any more is not fetched on', async t => {
  const world = outside()
  const prefetch = prefetchOf(t, world)
  const open: (() => void)[] = []
  world.beforeFetch = () => new Promise(resolve => open.push(resolve))
  await prefetch.want(named(930))
  await prefetch.want(named(930))
  t.equal(world.signals[0]?.aborted, false)
  await prefetch.want(named(960))
  t.equal(world.signals[0]?.aborted, true, 'the window opened, or another one became ready')
  for (const letGo of open.splice(0)) letGo()
  await settled()
  t.same(world.done, ['fetch 930 ahead', 'fetch 960 ahead'], 'the newer one follows at once')
  t.same(world.complaints, [], 'that is no failure')
  for (const letGo of open.splice(0)) letGo()
  await settled()
  t.ok(prefetch.fetched(named(960)))
})

t.test('a failure is told, and tried again after a wait that grows', async t => {
  const world = outside()
  const prefetch = prefetchOf(t, world)
  const full = () => Object.assign(new Error('the disk is full'), { code: 'disk-full', next: 'later' })
  world.fetches.push(full(), 'the trainer’s bucket cannot be read', full(), full(), full(), full(), full())
  await prefetch.want(named(930))
  for (let i = 0; i < 6; i++) await prefetch.pass(60_000)
  t.same(world.clock.slept, [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
  t.match(world.complaints[0], /could not be fetched yet: the window goes on without it: the disk is full/)
  t.match(world.complaints[1], /the trainer’s bucket cannot be read/)
  t.equal(prefetch.fetched(named(930)), undefined)
  await prefetch.pass(60_000)
  t.ok(prefetch.fetched(named(930)), 'it recovers')
})

t.test('waits are spread, and end when something else is wanted', async t => {
  const world = outside()
  world.parts.random = () => 0
  const prefetch = prefetchOf(t, world)
  world.fetches.push(new Error('unreachable'))
  await prefetch.want(named(930))
  t.same(world.clock.slept, [1_500])
  await prefetch.want(named(960))
  t.ok(prefetch.fetched(named(960)), 'no time has passed')
})

t.test('what cannot succeed with what is published now is seldom asked for', async t => {
  const world = outside()
  const prefetch = prefetchOf(t, world)
  world.fetches.push(Object.assign(new Error('a manifest that leads out of the folder'), { next: 'never' }))
  await prefetch.want(named(930))
  t.same(world.clock.slept, [60_000])
})

t.test('a checkpoint that was published anew meanwhile is not the one that was wanted', async t => {
  const world = outside()
  const prefetch = prefetchOf(t, world)
  world.fetches.push(checkpointOf(930, { metadataHash: 'f'.repeat(32) }))
  await prefetch.want(named(930))
  t.match(world.complaints, [/the bucket has checkpoint 930\/f{32} now, 930\/b{32} was to be fetched/])
  t.equal(prefetch.fetched(named(930)), undefined)
})

t.test('it ends with the signal, wherever it is', async t => {
  const world = outside()
  const prefetch = prefetchOf(t, world)
  world.fetches.push(new Error('unreachable'))
  await prefetch.want(named(930))
  prefetch.end.abort()
  await t.resolves(prefetch.done)
})

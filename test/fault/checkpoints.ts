import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { decodePresence, type Presence } from '../../actors/presence.js'
import { FLEET, ROLLOUTS } from '../../actors/streams.js'
import { openStore, readValue } from '../../nats/index.js'
import type { Bucket } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { readyMarkerKey } from '../../src/checkpoint/paths.js'
import { decodeGroup } from '../../src/window/blob.js'
import { decodeClaim } from '../../src/window/claim.js'
import { publishDelta, publishForm, safetensors, trained, type Weights } from '../checkpoint/helpers/publisher.js'
import type { Actor } from '../helpers/actor-process.js'
import { invariants } from '../helpers/invariants.js'
import { inTime, natsServerAbsent } from '../helpers/nats-server.js'
import { becomes } from '../helpers/outcome.js'
import { PATIENCE_MS, startWorld, type World } from '../helpers/world.js'

// Checkpoints of a trainer under a running fleet of two hosts: fetched ahead, once per host; swapped in the tail; with a full
// disk; and taken away under running groups, when a marker appears seconds after the window it counts for has begun.

/** Generators by their host's name; each host has a cache of its own. */
const HOSTS = { test: ['generator-0', 'generator-1'], spare: ['generator-0@spare'] }
const GENERATORS = Object.values(HOSTS).flat()
/** So slow that a group of it is in flight whenever claims close, ms. */
const SLOW = 'generator-1'
const SLOW_MS = 2_000
/** Of a file; a checkpoint's weights are larger. */
const SMALL_BYTES = 65_536
const ROWS = 1_000
const COLUMNS = 1_000
const BF16_BYTES = 2

const weightsOf = (bytes: Uint8Array): Weights =>
  new Map([['model.embed_tokens.weight', { type: 'bfloat16', shape: [ROWS, COLUMNS], bytes }]])
const freshWeights = () => weightsOf(randomBytes(ROWS * COLUMNS * BF16_BYTES))

/** Fields of the rehearsal checkpoint's metadata that say what is mined; the others are the publisher's. */
const MINED = ['model_name', 'env_id', 'env_params', 'generation_params', 'thinking_mode'] as const

/** What a trainer publishes around weights: the files of the rehearsal's checkpoint, and what is mined with it. */
async function rehearsed(
  folder: string,
): Promise<{ files: Record<string, Buffer>; metadata: Record<string, unknown> }> {
  const names = (await readdir(folder)).filter(name => name !== 'metadata.json')
  const files = await Promise.all(names.map(async name => [name, await readFile(join(folder, name))] as const))
  const whole = JSON.parse(await readFile(join(folder, 'metadata.json'), 'utf8')) as Record<string, unknown>
  const metadata = Object.fromEntries(MINED.map(field => [field, whole[field]]))
  return { files: Object.fromEntries(files), metadata }
}

/** @param broken files that are published in place of the right ones */
async function publishWhole(
  bucket: Bucket,
  folder: string,
  {
    window,
    ready,
    weights = freshWeights(),
    broken = {},
  }: {
    window: number
    ready?: number
    weights?: Weights
    broken?: Record<string, Buffer>
  },
): Promise<void> {
  const { files, metadata } = await rehearsed(folder)
  const whole = { ...files, 'model.safetensors': safetensors(weights), ...broken }
  await publishForm(bucket, window, 'FULL', whole, { metadata, ...(ready === undefined ? {} : { ready }) })
}

/** Facts of the log lines of an actor that say `text`. */
function said(actor: Actor, text: string): Record<string, unknown>[] {
  const lines = actor.lines.filter(line => line.includes(`"msg":"${text}"`))
  return lines.map(line => JSON.parse(line) as Record<string, unknown>)
}

/** Who has begun to fetch a checkpoint, or has made it of what it fetched, by name. */
function those(world: World, names: readonly string[], did: 'downloading' | 'ready', window: number): string[] {
  const isOfIt = ({ checkpoint }: Record<string, unknown>) => (checkpoint as { window: number }).window === window
  return names.filter(name => said(world.actor(name), `checkpoint ${did}`).some(isOfIt))
}

/** How often a generator found that it cannot make groups of a checkpoint. */
function refusals(world: World, name: string, window: number): Record<string, unknown>[] {
  const all = said(world.actor(name), 'this GPU makes no groups of this checkpoint')
  return all.filter(({ checkpoint }) => String(checkpoint).startsWith(`${window}/`))
}

const instanceOf = (name: string) => {
  const [generator = '', host = 'test'] = name.split('@')
  return generator.replace('-', `-${host}-`)
}

/** What a generator has staged in a window so far. */
const stagedBy = (world: World, name: string, window: number) =>
  world.events.flatMap(event =>
    event.kind === 'staged' && event.window === window && event.payload.generator === instanceOf(name) ? [event] : [],
  )

async function presenceOf(world: World, name: string): Promise<Presence> {
  const value = await readValue(world.broker, FLEET, instanceOf(name), { signal: inTime() })
  if (!value) throw new Error(`${name} is not present`)
  return decodePresence(value.bytes)
}

/** Waits until every generator has staged a group of a window. */
async function allStage(world: World, window: number): Promise<void> {
  for (const name of GENERATORS)
    await world.until(`${name} stages in ${window}`, () => stagedBy(world, name, window).length > 0)
}

/** All that was claimed and staged in a window is of its checkpoint, by window and by the hash of its weights. */
async function holdsOneCheckpoint(t: Test, world: World, window: number): Promise<void> {
  const opened = await world.event('opened', event => event.window === window)
  const { window: checkpoint, weightsHash } = opened.payload.checkpoint
  const store = openStore(world.broker, ROLLOUTS)
  const groups = world.events.flatMap(event => (event.kind === 'staged' && event.window === window ? [event] : []))
  const strange: string[] = []
  for (const { index, payload } of groups) {
    const { model } = decodeGroup(await store.get(payload.object, { signal: inTime() }))
    if (model.checkpointWindow !== checkpoint || model.weightsHash !== weightsHash)
      strange.push(`${index} of ${model.checkpointWindow}/${model.weightsHash}`)
  }
  t.same(strange, [], `${groups.length} groups are of checkpoint ${checkpoint}/${weightsHash}`)
  const claims = (world.claims.get(`${window}.1`) ?? []).map(({ value }) => decodeClaim(value).checkpointWindow)
  t.same(new Set(claims), new Set(claims.length > 0 ? [checkpoint] : []), 'so are its claims')
  const refused = world.events.filter(
    event => event.kind === 'gaveup' && event.window === window && event.payload.reason === 'engine-refused',
  )
  t.same(refused, [], 'and no engine was asked for another one')
}

t.setTimeout(PATIENCE_MS)
t.test('checkpoints of a trainer', { skip: natsServerAbsent, timeout: PATIENCE_MS }, async t => {
  let folder = ''
  const first = freshWeights()
  const world = await startWorld(t, {
    generators: HOSTS.test.length,
    spareGenerators: HOSTS.spare.length,
    actors: ['controller', 'aggregator', 'uploader', ...GENERATORS],
    blockMs: 900,
    paceOf: { [SLOW]: SLOW_MS },
    publish: async (bucket, checkpointFolder) => {
      folder = checkpointFolder
      await publishWhole(bucket, folder, { window: 2_910, ready: 2_940, weights: first })
    },
  })
  const trainer = openDirBucket({ folder: join(world.folder, 'trainer') })
  t.teardown(() => trainer.close())
  const ready = (name: string, window: number) =>
    world.says(
      name,
      new RegExp(`"window":${window},"checkpoint":\\d+,"msg":"ready for the next window before it opens"`),
    )

  const { window: w1, payload } = await world.event('opened')
  await t.test('a window is mined with the newest one that was ready before it', async t => {
    t.equal(payload.checkpoint.window, 2_910)
    await allStage(world, w1)
    t.same(those(world, HOSTS.spare, 'downloading', 2_910), HOSTS.spare, 'fetched by the generator of one host')
    t.equal(those(world, HOSTS.test, 'downloading', 2_910).length, 1, 'and by one of the two of the other')
  })

  await t.test('one that becomes ready meanwhile is fetched once per host, and swapped in the tail', async t => {
    const { metadata } = await rehearsed(folder)
    const step = { previous: 2_910, from: first, to: trained(first, 7) }
    await publishDelta(trainer, 2_970, step, { metadata, ready: w1 })
    const next = await world.event('next', event => event.window === w1)
    t.equal(next.payload.checkpoint.window, 2_970, 'the controller says which one comes next')
    for (const name of GENERATORS)
      await world.says(name, /"checkpoint":2970,"msg":"checkpoint of the next window is at hand"/)
    for (const [host, names] of Object.entries(HOSTS))
      for (const did of ['downloading', 'ready'] as const)
        t.equal(those(world, names, did, 2_970).length, 1, `${names.length} generators of ${host} want it, ${did}: one`)
    for (const name of GENERATORS) await ready(name, w1)
    const summary = await becomes(t, world, { window: w1, state: 'UPLOADED' })
    t.equal(summary.payload.checkpoint, 2_910, 'the running window is one of the old checkpoint')
    for (const name of GENERATORS) {
      const equipped = said(world.actor(name), 'equipped').find(({ checkpoint }) => checkpoint === 2_970)
      const last = stagedBy(world, name, w1).at(-1)
      t.ok(Date.parse(String(equipped?.time)) >= (last?.timeMs ?? 0), `${name} swapped after its last group was staged`)
    }
    await holdsOneCheckpoint(t, world, w1)
    await invariants(t, world, { window: w1 })
  })

  await t.test('the next window begins without a load', async t => {
    const { window, payload } = await world.nextWindow()
    t.equal(payload.checkpoint.window, 2_970)
    await allStage(world, window)
    for (const name of GENERATORS)
      t.same(
        said(world.actor(name), 'equipped').map(({ checkpoint }) => checkpoint),
        [2_910, 2_970],
        `${name} has loaded it once, before the window opened`,
      )
  })

  const w2 = w1 + 30
  await t.test('a disk that is full in a download: the window goes on, and the download later', async t => {
    const limit = (soft: string) =>
      Promise.all(HOSTS.test.map(name => prlimit(world.actor(name).pid, `--fsize=${soft}:unlimited`)))
    await limit(String(SMALL_BYTES))
    await publishWhole(trainer, folder, { window: 3_000, ready: w2 })
    const without = /could not be fetched yet: the window goes on without it/
    const why = await world.until(
      'one of them says why',
      () => HOSTS.test.flatMap(name => world.actor(name).lines.filter(line => without.test(line)))[0],
    )
    const before = HOSTS.test.map(name => stagedBy(world, name, w2).length)
    await world.says('generator-0@spare', /"checkpoint":3000,"msg":"checkpoint of the next window is at hand"/)
    t.match(
      why,
      /quota or file size limit is reached\. Make room, or set a smaller checkpoint cache/,
      'with the remedy',
    )
    t.same(those(world, HOSTS.spare, 'ready', 3_000), HOSTS.spare, 'the other host has it')
    for (const [i, name] of HOSTS.test.entries())
      await world.until(`${name} mines on`, () => stagedBy(world, name, w2).length > before[i]!)
    t.equal(those(world, HOSTS.test, 'ready', 3_000).length, 0, 'groups are staged while it is not to be had')
    await limit('unlimited')
    await world.until('it is made', () => those(world, HOSTS.test, 'ready', 3_000).length > 0)
    t.equal(those(world, HOSTS.test, 'ready', 3_000).length, 1, 'once there is room, it is made, once')
    await becomes(t, world, { window: w2, state: 'UPLOADED' })
    await holdsOneCheckpoint(t, world, w2)
    await invariants(t, world, { window: w2 })
  })

  await t.test('a marker that appears after the window has begun takes it away under running groups', async t => {
    // Its files are there in time; only the marker is late.
    await publishWhole(trainer, folder, { window: w2 })
    const { window, payload } = await world.nextWindow()
    t.equal(payload.checkpoint.window, 3_000)
    await world.until('a group is in flight', () => (world.claims.get(`${window}.1`) ?? []).length > 0)
    await trainer.put(readyMarkerKey(w2, w2), new Uint8Array(), inTime())
    const { payload: summary } = await becomes(t, world, { window, state: 'SKIPPED' })
    t.match(summary.reason, new RegExp(`checkpoint ${w2} became ready after`), 'it is discarded')
    for (const name of GENERATORS) await ready(name, window)
    await holdsOneCheckpoint(t, world, window)
    await invariants(t, world, { window })
  })

  await t.test(
    'a checkpoint that cannot be loaded keeps GPUs out, with a reason, until there is a better one',
    async t => {
      const { window, payload } = await world.nextWindow()
      t.equal(payload.checkpoint.window, w2, 'the window has the one whose marker came late')
      const bad = window - 30
      await publishWhole(trainer, folder, { window: bad, ready: bad, broken: { 'tokenizer.json': Buffer.from('{') } })
      await becomes(t, world, { window, state: 'SKIPPED' })
      for (const name of GENERATORS) {
        // The first wait is about a second, the next one twice as long.
        await world.says(name, new RegExp(`"checkpoint":"${bad}/".*"againMs":[2-9]\\d{3},`))
        // Between two attempts; while it tries again it says that.
        await world.polled(`${name} says why, and is there`, async () =>
          /tokenizer\.json/.test((await presenceOf(world, name)).state),
        )
        const [first, second] = refusals(world, name, bad).map(({ againMs }) => Number(againMs))
        t.ok(second! > first!, `it is tried again after ${first} ms, then ${second} ms`)
      }
      await publishWhole(trainer, folder, { window: bad + 1, ready: bad })
      const isReady = new RegExp(`"checkpoint":${bad + 1},"msg":"ready for the next window before it opens"`)
      for (const name of GENERATORS) {
        await world.says(name, isReady)
        t.equal((await presenceOf(world, name)).checkpointWindow, bad + 1, `${name} is back`)
      }
      await invariants(t, world, { window })
    },
  )
  await invariants(t, world)
})

const prlimit = (pid: number, limit: string) => promisify(execFile)('prlimit', ['--pid', String(pid), limit])

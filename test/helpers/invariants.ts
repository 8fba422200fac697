import type { Test } from 'tap'
import { foldAttempt, noAttempt } from '../../actors/attempt.js'
import { reissued } from '../../actors/controller/messages.js'
import type { JournalEvent } from '../../actors/journal.js'
import { PARTS, REISSUE, REISSUE_CONSUMER, ROLLOUTS } from '../../actors/streams.js'
import { isBrokerError, openStore, subjects } from '../../nats/index.js'
import { decodeGroup } from '../../src/window/blob.js'
import { DEADLINE_SLACK_MS, WINDOW_BLOCKS, windowEnd } from '../../src/window/block.js'
import { claimsOf, decodeClaim } from '../../src/window/claim.js'
import { objectKey, WINDOW_PREFIX } from '../../src/window/object.js'
import { inTime, until } from './nats-server.js'
import { faultsOfFile } from './window-file.js'
import type { World } from './world.js'

type Of<K extends JournalEvent['kind']> = Extract<JournalEvent, { kind: K }>

/** Everything the journal says about one window and epoch. */
interface Story {
  window: number
  epoch: number
  all: readonly JournalEvent[]
  of<K extends JournalEvent['kind']>(kind: K): Of<K>[]
  opened: Of<'opened'>
  summarised: Of<'summarised'>
  /** The one seal that counts. */
  sealed: Of<'sealed'> | undefined
  /** There is to be an object. */
  delivered: boolean
}

/** Windows and epochs of a world whose invariants were looked at already: nothing of a window that is over changes any more. */
const checked = new WeakMap<World, Set<string>>()

/** Outcomes of a window that has an object. */
const DELIVERED: readonly string[] = ['UPLOADED', 'TRUNCATED']

/** Staged groups and parts are kept for this many windows. */
const WINDOWS_STAGED = 2

/**
 * What must hold whatever happened: of every window that is over, of the streams and buckets, and, when no window is
 * named, of the processes once the fleet was stopped. Every fault test ends in it.
 * @param only one window (and epoch) instead of all that were opened; the fleet goes on
 */
export async function invariants(t: Test, world: World, only: { window?: number; epoch?: number } = {}): Promise<void> {
  const whole = only.window === undefined
  const opened = world.events.filter(
    (event): event is Of<'opened'> =>
      event.kind === 'opened' &&
      (only.window ?? event.window) === event.window &&
      (only.epoch ?? event.epoch) === event.epoch,
  )
  const over = opened.filter(({ window, epoch }) =>
    world.events.some(event => event.kind === 'summarised' && event.window === window && event.epoch === epoch),
  )
  t.ok(over.length > 0, `a window ${only.window ?? ''} is over`)
  const before = checked.get(world) ?? new Set<string>()
  checked.set(world, before)
  for (const { window, epoch } of over) {
    if (before.has(`${window}.${epoch}`)) continue
    before.add(`${window}.${epoch}`)
    await t.test(`invariants of window ${window}, epoch ${epoch}`, t =>
      windowHolds(t, world, storyOf(world, window, epoch)),
    )
  }
  t.same(
    untold(world),
    [],
    'no window is lost without a word: each has its summary, and a reason where it has no object',
  )
  await t.test('one object for every delivered window, and nothing else in the bucket', t => bucketHolds(t, world))
  if (!whole) return
  await t.test('streams and buckets are back to their bounds', t => brokerHolds(t, world))
  t.same(world.crashes, [], 'no process ended by itself')
  const pids = [...world.actors.values()].map(({ pid }) => pid)
  await world.close()
  t.same(
    [...world.exits].filter(([, code]) => code !== 0),
    [],
    'every process ended well when it was told to',
  )
  t.same(pids.filter(isAlive), [], 'no process is left')
}

/** Windows between the first and the last that is over without a summary, and summaries of windows without an object that do not say why. */
function untold(world: World): string[] {
  const ended = world.events.filter((event): event is Of<'summarised'> => event.kind === 'summarised')
  const told = new Set(ended.map(({ window }) => window))
  const missing: string[] = []
  for (let window = Math.min(...told); window < Math.max(...told); window += WINDOW_BLOCKS)
    if (!told.has(window)) missing.push(`${window} has no summary`)
  const mute = ended.filter(({ payload }) => !DELIVERED.includes(payload.state) && !payload.reason)
  return [
    ...missing,
    ...mute.map(({ window, epoch, payload }) => `${window}.${epoch} is ${payload.state}, unexplained`),
  ]
}

function storyOf(world: World, window: number, epoch: number): Story {
  const all = world.events.filter(event => event.window === window && event.epoch === epoch)
  const of = <K extends JournalEvent['kind']>(kind: K) => all.filter((event): event is Of<K> => event.kind === kind)
  const attempt = noAttempt()
  const seal = all.find(event => foldAttempt(attempt, event) && event.kind === 'sealed')
  const summarised = of('summarised')[0] as Of<'summarised'>
  return {
    window,
    epoch,
    all,
    of,
    opened: of('opened')[0] as Of<'opened'>,
    summarised,
    sealed: seal as Of<'sealed'> | undefined,
    delivered: DELIVERED.includes(summarised.payload.state),
  }
}

async function windowHolds(t: Test, world: World, story: Story): Promise<void> {
  t.equal(story.of('opened').length, 1, 'opened once')
  t.equal(story.of('summarised').length, 1, 'summarised once')
  hashHolds(t, world, story)
  const dense = claimsHold(t, world, story)
  const inFile = groupsHold(t, story, dense)
  summaryHolds(t, world, story, inFile)
  if (story.delivered) await fileHolds(t, world, story, inFile)
  await until(`claims of ${story.window}.${story.epoch} are dropped`, async () =>
    (await streamNames(world, `KV_${claimsOf(story.window, story.epoch)}`)).length === 0 ? true : undefined,
  )
  const { window, epoch } = story
  const left = await subjects(world.broker, REISSUE, reissued.matching({ window, epoch }), { signal: inTime() })
  t.same([...left.keys()], [], 'no index of it is left on the reissue queue')
}

/** Nothing became visible under a hash that was not final, neither by the fleet's word nor by the chain's. */
function hashHolds(t: Test, world: World, story: Story): void {
  const { window, opened } = story
  const finals = story.of('final')
  for (const { payload } of finals)
    t.equal(payload.hash, opened.payload.hash, 'what is final is the hash it is mined with')
  if (finals.length > 0)
    t.equal(world.chain.hash(window), opened.payload.hash, 'and it is the one that the chain has kept')
  const visible = [...story.of('completed'), ...story.of('uploaded')]
  t.same(
    visible.filter(({ seq }) => !finals.some(final => final.seq < seq)).map(({ kind }) => kind),
    [],
    'no object before its hash was final',
  )
  if (story.delivered) t.ok(world.chain.finalized().number >= window, `block ${window} is final`)
}

/** Revisions 1, 2, 3, …: a claim for each, each under its own key. Returns how many there are. */
function claimsHold(t: Test, world: World, { window, epoch }: Story): number {
  const entries = world.claims.get(`${window}.${epoch}`) ?? []
  t.same(
    entries.map(({ index }) => index),
    entries.map((_, i) => i),
    `${entries.length} claims are dense`,
  )
  t.equal(new Set(entries.map(({ key }) => key)).size, entries.length, 'claims are unique')
  for (const { value } of entries) decodeClaim(value)
  // The bucket is dropped at the window's end, whether or not this test has read all of it: asked for were these.
  return Math.max(entries.length, world.claimKeys.get(`${window}.${epoch}`)?.size ?? 0)
}

/** Every acknowledged group is in the file exactly once, or dropped with a reason. Returns the indices in the file. */
function groupsHold(t: Test, story: Story, claimed: number): number[] {
  const { sealed, delivered } = story
  const inFile = (sealed?.payload.indices ?? []).flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i),
  )
  t.same(
    inFile,
    [...new Set(inFile)].sort((a, b) => a - b),
    'every index is in the file once at most, in order',
  )
  t.equal(sealed?.payload.groups ?? 0, inFile.length, 'the seal counts its groups')
  const staged = story.of('staged')
  t.same(
    staged.filter(({ index }) => index >= claimed).map(({ index }) => index),
    [],
    'only claimed indices are staged',
  )
  const first = new Map<number, string>()
  for (const { index, payload } of staged) if (!first.has(index)) first.set(index, payload.digest)
  t.same(
    inFile.filter(index => !first.has(index)),
    [],
    'only staged groups are in the file',
  )
  // A window that failed or was skipped has one reason for all of its groups.
  if (!delivered && story.summarised.payload.state !== 'EMPTY') {
    t.ok(story.summarised.payload.reason, 'the window says why it has no object')
    return inFile
  }
  const dropped = new Map(
    story.of('dropped').map(({ index, payload }) => [`${index} ${payload.digest}`, payload.reason]),
  )
  const written = new Set(inFile)
  const lost: string[] = []
  for (const { index, payload } of staged) {
    const reason = dropped.get(`${index} ${payload.digest}`)
    const counts = first.get(index) === payload.digest
    if (counts && written.has(index) === (reason !== undefined))
      lost.push(
        `${index} is ${written.has(index) ? `in the file and dropped as ${reason}` : 'neither in the file nor dropped'}`,
      )
    if (!counts && reason !== 'duplicate') lost.push(`a second ${index} is ${reason ?? 'not dropped'}, not a duplicate`)
  }
  t.same(lost, [], `${staged.length} acknowledged groups: each in the file once, or dropped with a reason`)
  return inFile
}

function summaryHolds(t: Test, world: World, story: Story, inFile: number[]): void {
  const { window, epoch, delivered, summarised } = story
  const summary = summarised.payload
  const live = world.summaries.filter(line => line.actor === 'fleet' && line.window === window && line.epoch === epoch)
  for (const line of live) t.same(line, summary, 'the line on grail.summary is the one of the journal')
  t.equal(summary.problems, delivered ? inFile.length : 0, 'problems are the groups of the file')
  t.equal(summary.rollouts, summary.problems * 16, 'rollouts are 16 per problem')
  t.equal(summary.bytes, delivered ? story.sealed?.payload.bytes : 0, 'bytes are those of the file')
  t.equal(summary.checkpoint, story.opened.payload.checkpoint.window, 'checkpoint is the one it was opened with')
  // The controller has folded everything up to the event that ended the window, and may have folded what came before its summary.
  const end = story.of(delivered ? 'uploaded' : 'summarised')[0] ?? summarised
  const atLeast = reasons(story, event => event.seq <= end.seq)
  const atMost = reasons(story, event => event.seq < summarised.seq)
  for (const reason of new Set([...Object.keys(summary.dropped), ...Object.keys(atMost)])) {
    const count = summary.dropped[reason] ?? 0
    const within = (delivered ? count >= (atLeast[reason] ?? 0) : true) && count <= (atMost[reason] ?? 0)
    t.ok(within, `${count} groups dropped as ${reason} are in the journal`, { atLeast, atMost })
  }
}

function reasons(story: Story, counts: (event: JournalEvent) => boolean): Record<string, number> {
  const found: Record<string, number> = {}
  const events = [...story.of('dropped'), ...story.of('gaveup')].filter(counts)
  for (const { payload } of events) found[payload.reason] = (found[payload.reason] ?? 0) + 1
  return found
}

async function fileHolds(t: Test, world: World, story: Story, indices: number[]): Promise<void> {
  const { window, opened, sealed, summarised } = story
  const uploaded = story.of('uploaded')
  t.equal(uploaded.length, 1, 'uploaded once')
  if (!sealed || !uploaded[0]) return
  const { payload } = uploaded[0]
  t.equal(payload.attempt, sealed.payload.attempt, 'what was uploaded is what was sealed')
  t.equal(payload.sha256, sealed.payload.sha256, 'the uploader and the seal agree on the sha256')
  t.equal(summarised.payload.sha256, sealed.payload.sha256, 'so does the summary')
  const key = objectKey(world.hotkey, window)
  const facts = await world.bucket.head(key, inTime())
  t.ok(facts, 'the object is there')
  if (!facts) return
  const announcedMs = story.of('timers').at(-1)?.payload.timers.deadlineMs ?? opened.payload.timers.deadlineMs
  t.ok(facts.lastModifiedMs <= announcedMs, 'LastModified is not after the deadline', { facts, announcedMs })
  const next = world.events.find(
    (event): event is Of<'opened'> => event.kind === 'opened' && event.window === windowEnd(window),
  )
  if (next && !world.cutShort.has(window))
    t.ok(facts.lastModifiedMs <= next.payload.startMs - DEADLINE_SLACK_MS, 'nor after the one the chain set', { facts })
  const rollouts = openStore(world.broker, ROLLOUTS)
  const objects = new Map<number, string>()
  for (const event of story.of('staged')) if (!objects.has(event.index)) objects.set(event.index, event.payload.object)
  const faults = await faultsOfFile(await world.bucket.get(key, inTime()), {
    hotkey: world.hotkey,
    window,
    windowHash: opened.payload.hash,
    checkpointWindow: opened.payload.checkpoint.window,
    sha256: sealed.payload.sha256,
    bytes: sealed.payload.bytes,
    indices,
    group: async index => {
      try {
        return decodeGroup(await rollouts.get(objects.get(index) ?? '', { signal: inTime() }))
      } catch (error) {
        if (isBrokerError(error, 'not-found')) return undefined
        throw error
      }
    },
  })
  t.same(faults.slice(0, 10), [], `the file holds ${indices.length} groups of 16 rows as they were staged and signed`)
}

async function bucketHolds(t: Test, world: World): Promise<void> {
  const windows = new Set(world.events.filter(({ kind }) => kind === 'opened').map(({ window }) => window))
  const finished = [...windows].filter(window => {
    const epochs = world.events.filter(event => event.kind === 'opened' && event.window === window)
    const ended = world.events.filter(event => event.kind === 'summarised' && event.window === window)
    return epochs.length === ended.length
  })
  const wanted = finished.filter(window => storiesOf(world, window).some(({ delivered }) => delivered))
  const keys = finished.map(window => objectKey(world.hotkey, window))
  const found: string[] = []
  for await (const { key } of world.bucket.list(WINDOW_PREFIX, inTime())) found.push(key)
  t.same(
    new Set(found.filter(key => keys.includes(key))),
    new Set(wanted.map(window => objectKey(world.hotkey, window))),
    `${wanted.length} of ${finished.length} finished windows have an object`,
  )
  t.same(
    found.filter(key => ![...windows].some(window => key === objectKey(world.hotkey, window))),
    [],
    'there is no other object',
  )
  const uploads = await world.bucket.listUploads(WINDOW_PREFIX, inTime())
  t.same(
    uploads.filter(({ key }) => keys.includes(key)),
    [],
    'no multipart upload dangles',
  )
}

function storiesOf(world: World, window: number): Story[] {
  return world.events
    .filter(event => event.kind === 'opened' && event.window === window)
    .map(event => storyOf(world, window, event.epoch))
}

/** What the broker keeps is bounded by the windows it is still needed for. */
async function brokerHolds(t: Test, world: World): Promise<void> {
  const opened = world.events.filter(({ kind }) => kind === 'opened')
  const isOver = ({ window, epoch }: JournalEvent) =>
    world.events.some(event => event.kind === 'summarised' && event.window === window && event.epoch === epoch)
  const newest = Math.max(...opened.map(({ window }) => window))
  const kept = new Set([
    ...opened.filter(event => !isOver(event)).map(({ window, epoch }) => `KV_${claimsOf(window, epoch)}`),
    // Made ahead of its window, and that of the one being opened at this moment.
    `KV_${claimsOf(newest + WINDOW_BLOCKS, 1)}`,
    `KV_${claimsOf(newest + 2 * WINDOW_BLOCKS, 1)}`,
  ])
  await until('claims are kept of open windows only', async () =>
    (await streamNames(world, 'KV_grail_claims_')).every(name => kept.has(name)),
  )
  t.pass('claims are kept of open windows only')
  const oldest = Math.max(...opened.filter(isOver).map(({ window }) => window)) - (WINDOWS_STAGED - 1) * WINDOW_BLOCKS
  for (const bucket of [ROLLOUTS, PARTS])
    await until(`${bucket} keeps the last ${WINDOWS_STAGED} windows that are over`, async () => {
      const names = await openStore(world.broker, bucket).names({ signal: inTime() })
      return names.every(name => Number(name.split('/')[0]) >= oldest)
    })
  t.pass(`groups and parts are kept of ${WINDOWS_STAGED} windows`)
  const queue = await world.broker.jsm.consumers.info(REISSUE, REISSUE_CONSUMER)
  const unfinished = opened.some(event => !isOver(event))
  if (!unfinished) t.equal(queue.num_ack_pending, 0, 'nothing from the reissue queue waits for an answer')
}

async function streamNames(world: World, prefix: string): Promise<string[]> {
  const names: string[] = []
  for await (const name of world.broker.jsm.streams.names()) if (name.startsWith(prefix)) names.push(name)
  return names
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

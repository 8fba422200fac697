import {
  announce,
  bePresent,
  type ClaimEntry,
  claims,
  dropClaimBucket,
  ensureClaimBucket,
  isBrokerError,
  purgeSubject,
  subjects,
  tell,
} from '../../nats/index.js'
import type { Head } from '../../src/chain/chain.js'
import { deadlineOf, extrapolateEnd, WINDOW_BLOCKS, windowEnd, windowOf } from '../../src/window/block.js'
import { claimsOf, decodeClaim, LIST_GRACE_MS, orphans } from '../../src/window/claim.js'
import { GROUP_SAMPLES, p90, tailOf, timersOf } from '../../src/window/deadline.js'
import { summaryLine } from '../../src/window/summary.js'
import { whileActive } from '../active.js'
import { bell } from '../bell.js'
import { followJournal, type JournalEvent } from '../journal.js'
import { encodePresence, PRESENCE_EVERY_MS } from '../presence.js'
import { FLEET, REISSUE } from '../streams.js'
import { HISTORY_SPANS, measureBlockTime } from './block-time.js'
import { followFleet } from './fleet.js'
import { emptyLedger, fold, isOver, type Ledger, send, settled, stateOf, summaryOf } from './ledger.js'
import type { WindowEvent } from './machine.js'
import {
  entered,
  hashFinal,
  opened,
  reissued,
  summarised,
  summaryLive,
  timersMoved,
  type WindowState,
} from './messages.js'
import type { ControllerParts } from './options.js'

/** The window's clock ticks this often, ms: a fifth of the shortest time that means anything here (a second). */
const TICK_MS = 200
/** Orphans are looked for this often, ms. */
const RECONCILE_MS = 1_000
/** Timers are announced anew only when D moved by more than this, ms: blocks jitter by less. */
const TIMERS_MOVED_MS = 250
/** Claims are closed at another time only when the fleet's p90 changed by more than this part of itself. */
const PACE_MOVED = 0.25
/** Ledgers kept: the window being mined, the one being verified, their epochs, and the last ones' tails. */
const LEDGERS_KEPT = 24
/** Groups and parts are kept for this many windows after their own. */
const WINDOWS_STAGED = 2

/**
 * Follows the chain, opens and closes windows, re-issues what dead generators leave, and says what a window came to.
 * Its whole state is the journal, folded: killed at any moment, it goes on where the events end.
 */
export async function runController(parts: ControllerParts, signal: AbortSignal): Promise<void> {
  const { broker, instance, boot } = parts
  let state = 'standby'
  bePresent(
    broker,
    FLEET,
    instance,
    () =>
      encodePresence({
        role: 'controller',
        instance,
        boot,
        host: parts.host,
        pid: process.pid,
        version: parts.version,
        profile: parts.profile.id,
        state,
      }),
    { everyMs: PRESENCE_EVERY_MS, signal },
  )
  await whileActive(parts, { role: 'controller', leaseMs: parts.leaseMs, signal }, async active => {
    state = 'active'
    await control(parts, active)
  })
}

async function control(parts: ControllerParts, signal: AbortSignal): Promise<void> {
  const { broker, log, clock, chain } = parts
  const ledgers = new Map<string, Ledger>()
  const following = new Map<string, AbortController>()
  const fleet = followFleet(broker, { signal, log })
  const blockTime = measureBlockTime()
  const changed = bell()
  const tails: number[] = []
  const groupMs: number[] = []
  let best: Head | undefined
  let finalNumber = -1
  let live = false
  let preparing: Promise<void> | undefined

  const journal = followJournal(broker, 'all', {
    signal,
    onBroken: (subject, error) => log.error({ subject, err: error }, 'an event of the journal cannot be read: skipped'),
    onEvent: event => {
      const ledger = ledgerOf(event.window, event.epoch)
      fold(ledger, event)
      learn(ledger, event)
      if (live) changed.ring()
    },
  })
  await Promise.all([journal.caughtUp, fleet.caughtUp])
  for (const ledger of ledgers.values()) if (ledger.opened && !isOver(ledger)) followClaims(ledger)
  live = true

  const heads = followHeads()
  const ticks = tick()
  const reconciling = reconcile()
  // A part that fails ends the controller: supervisord starts a new one, which folds the journal.
  await Promise.all([heads, ticks, reconciling, journal.done, fleet.done]).finally(() => {
    for (const end of following.values()) end.abort()
  })

  function ledgerOf(window: number, epoch: number): Ledger {
    const key = `${window}.${epoch}`
    let ledger = ledgers.get(key)
    if (!ledger) {
      ledger = emptyLedger(window, epoch)
      ledgers.set(key, ledger)
      for (const old of [...ledgers.keys()].slice(0, -LEDGERS_KEPT)) {
        following.get(old)?.abort()
        following.delete(old)
        ledgers.delete(old)
      }
    }
    return ledger
  }

  /** What past windows teach about the next one's timers. */
  function learn(ledger: Ledger, event: JournalEvent): void {
    if (event.kind === 'staged') {
      const { prompt, generate, prove, reward, stage } = event.payload.seconds
      groupMs.push((prompt + generate + prove + reward + stage) * 1000)
      if (groupMs.length > GROUP_SAMPLES) groupMs.shift()
    }
    if (event.kind === 'uploaded' && ledger.sealingMs !== undefined && ledger.uploadedMs !== undefined) {
      tails.push(ledger.uploadedMs - ledger.sealingMs)
      if (tails.length > GROUP_SAMPLES) tails.shift()
    }
  }

  function followClaims(ledger: Ledger): void {
    const key = `${ledger.window}.${ledger.epoch}`
    if (following.has(key)) return
    const end = new AbortController()
    following.set(key, end)
    const onClaim = ({ index, value, timeMs }: ClaimEntry) => {
      try {
        ledger.claims.set(index, { ...decodeClaim(value), index, storedMs: timeMs })
      } catch (error) {
        log.error({ window: ledger.window, index, err: error }, 'a claim cannot be read: taken for an orphan')
        ledger.claims.set(index, { generator: '', boot: '', checkpointWindow: 0, atMs: 0, index, storedMs: timeMs })
      }
    }
    claims(broker, claimsOf(ledger.window, ledger.epoch), {
      signal: AbortSignal.any([signal, end.signal]),
      onClaim,
    }).done.catch(error => {
      if (signal.aborted || end.signal.aborted) return
      // The bucket went away under an open window: whoever dropped it wanted the window gone.
      log.error({ window: ledger.window, err: error }, 'claims of the window cannot be followed')
      following.delete(key)
    })
  }

  /** Newest ledger of a window; undefined when the journal has none. */
  function newestOf(window: number): Ledger | undefined {
    let found: Ledger | undefined
    for (const ledger of ledgers.values())
      if (ledger.window === window && (!found || ledger.epoch > found.epoch)) found = ledger
    return found
  }

  async function followHeads(): Promise<void> {
    for await (const event of chain.events(signal)) {
      if (event.kind === 'best') {
        if (best === undefined) await learnPace(event.head)
        best = event.head
        blockTime.seen(event.head)
        onHead(event.head)
      } else if (event.kind === 'final') finalNumber = Math.max(finalNumber, event.number)
      else if (event.kind === 'down') log.warn({ endpoint: event.endpoint, why: event.why }, 'chain connection lost')
      else if (event.kind === 'up') log.info({ endpoint: event.endpoint }, 'chain connected')
      else log.error({ sinceMs: event.sinceMs }, 'no new block: windows cannot open until the chain goes on')
      changed.ring()
    }
  }

  /** The pace of the blocks before the first head we saw, as far back as the chain knows. */
  async function learnPace(head: Head): Promise<void> {
    for (const span of HISTORY_SPANS) {
      const thenMs =
        head.number > span ? await chain.timestamp(head.number - span, signal).catch(() => undefined) : undefined
      if (thenMs === undefined) continue
      blockTime.before(span, head.timestampMs - thenMs)
      return
    }
  }

  function onHead(head: Head): void {
    const window = windowOf(head.number)
    // One preparation at a time; a head that comes in between is looked at by the next one.
    preparing ??= keepWindow(window, head)
      .catch(error => {
        if (!signal.aborted) log.error({ window, err: error }, 'window could not be opened')
      })
      .finally(() => {
        preparing = undefined
      })
  }

  /** Opens the window of the best head, or a new epoch of it when its hash is another one now. */
  async function keepWindow(window: number, head: Head): Promise<void> {
    // One that an earlier controller was preparing when it died has no timers of its own.
    for (const ledger of ledgers.values())
      if (ledger.window < window && stateOf(ledger) === 'preparing')
        await move(ledger, { type: 'FAILED', reason: 'its last block came before it was prepared' })
    if (newestOf(window)?.final) return
    const hash = window === head.number ? head.hash : await chain.hash(window, signal)
    if (hash === undefined) return
    for (const ledger of ledgers.values())
      if (ledger.window === window && ledger.opened && ledger.opened.hash !== hash && !isOver(ledger))
        await move(ledger, { type: 'SUPERSEDED', reason: `reorg: block ${window} is ${hash} now` })
    const known = newestOf(window)
    if (known?.opened?.hash === hash) return
    const epoch = known?.opened ? known.epoch + 1 : (known?.epoch ?? 1)
    await open(ledgerOf(window, epoch), hash, head)
  }

  async function open(ledger: Ledger, hash: string, head: Head): Promise<void> {
    if (isOver(ledger)) return
    const { window, epoch } = ledger
    const startMs = (await chain.timestamp(window, signal)) ?? head.timestampMs
    const timers = timersOf(deadlineMsOf(window, head), tailOf(tails, parts.firstTailMs), p90(groupMs) ?? 0)
    // Until it is opened the machine goes by the timers it would have.
    send(ledger, { type: 'TIMERS', timers })
    if (stateOf(ledger) === 'announced') await move(ledger, { type: 'PREPARE' })
    const hotkey = fleet.hotkey()
    if (hotkey === undefined) {
      log.warn({ window }, 'no aggregator is present yet: the window waits for its hotkey')
      return
    }
    const checkpoint = await parts.checkpoint(window, signal)
    if (typeof checkpoint === 'string') {
      await move(ledger, { type: 'FAILED', reason: `no checkpoint: ${checkpoint}` })
      return
    }
    const randomness = await parts.randomness(hash, signal)
    await ensureClaims(window, epoch)
    if (isOver(ledger) || clock.now() >= timers.drainEndMs) return
    await announce(
      broker,
      opened,
      { window, epoch },
      {
        profile: parts.profile.id,
        hotkey,
        hash,
        randomness,
        block: head.number,
        startMs,
        checkpoint: {
          window: checkpoint.window,
          modelName: checkpoint.modelName,
          weightsHash: checkpoint.weightsHash,
          environment: checkpoint.environment,
        },
        timers,
        maxGroups: parts.maxGroups,
      },
      { signal },
    )
    followClaims(ledger)
    await forgetUnopened(window)
    const left = Math.round((timers.drainEndMs - clock.now()) / 1000)
    log.info({ window, epoch, hash, secondsToDrain: left }, 'window opened')
    // The next window's bucket is there before the window is.
    await ensureClaims(window + WINDOW_BLOCKS, 1)
  }

  async function ensureClaims(window: number, epoch: number): Promise<void> {
    await ensureClaimBucket(broker, claimsOf(window, epoch), {
      signal,
      replicas: parts.replicas,
      cap: parts.maxGroups,
    })
  }

  function deadlineMsOf(window: number, head: Head): number {
    const endMs = extrapolateEnd(window, head, blockTime.blockMs())
    return deadlineOf(endMs)
  }

  /** Moves a window's machine and says so; what follows from the new state is done by `tick`. */
  async function move(ledger: Ledger, event: WindowEvent): Promise<void> {
    const state = send(ledger, event)
    if (state === undefined) return
    const { window, epoch } = ledger
    const why = ledger.machine.context.reason
    log.info({ window, epoch, state, ...(why === '' ? {} : { why }) }, 'window state')
    if (state === 'sealing') ledger.sealingMs ??= clock.now()
    // generating, uploading, verifying and done follow from others' events: nobody needs to be told what they said.
    if (!['generating', 'uploading', 'verifying'].includes(state))
      await announce(
        broker,
        entered,
        { window, epoch },
        { state: state as WindowState, atMs: clock.now(), why },
        { signal },
      )
    changed.ring()
  }

  async function tick(): Promise<void> {
    while (!signal.aborted) {
      for (const ledger of [...ledgers.values()]) {
        try {
          await look(ledger)
        } catch (error) {
          if (signal.aborted) return
          log.error({ window: ledger.window, err: error }, 'window could not be moved on')
        }
      }
      await changed.wait(TICK_MS, signal)
    }
  }

  async function look(ledger: Ledger): Promise<void> {
    if (!isOver(ledger)) {
      await remeasure(ledger)
      await move(ledger, { type: 'TICK', nowMs: clock.now() })
      if (isDrained(ledger)) await move(ledger, { type: 'DRAINED' })
      await confirm(ledger)
    }
    if (isOver(ledger) && !ledger.summarised) await summarise(ledger)
    if (ledger.summarised && !ledger.forgotten) await forget(ledger)
  }

  /** Has everything that was claimed been settled, and can nothing more be claimed? */
  function isDrained(ledger: Ledger): boolean {
    if (stateOf(ledger) !== 'draining' || ledger.claims.size === 0) return false
    const open = [...settledOf(ledger)]
    if (open.length < ledger.claims.size) return false
    const leftMs = ledger.machine.context.timers.drainEndMs - clock.now()
    const generators = fleet.members().filter(({ role }) => role === 'generator')
    const anyMayClaim = generators.some(
      ({ groupMs: mine, inFlight }) => (inFlight?.length ?? 0) > 0 || (mine ?? p90(groupMs) ?? 0) <= leftMs,
    )
    return ledger.claims.size >= parts.maxGroups || !anyMayClaim
  }

  function settledOf(ledger: Ledger): number[] {
    const done = settled(ledger)
    return [...ledger.claims.keys()].filter(index => done.has(index))
  }

  /**
   * D follows the chain: from the timestamp of W+30 once it is there, extrapolated from the best head until then. Claims close
   * by the fleet's p90, which the first window learns while it is mined.
   */
  async function remeasure(ledger: Ledger): Promise<void> {
    if (!ledger.opened || !best || best.number > windowEnd(ledger.window)) return
    const p90Ms = p90(groupMs) ?? 0
    const timers = timersOf(deadlineMsOf(ledger.window, best), tailOf(tails, parts.firstTailMs), p90Ms)
    const now = ledger.machine.context.timers
    const deadlineMoved = Math.abs(timers.deadlineMs - now.deadlineMs) > TIMERS_MOVED_MS
    const paceMoved =
      stateOf(ledger) === 'generating' &&
      Math.abs(timers.claimsCloseMs - now.claimsCloseMs) > TIMERS_MOVED_MS + p90Ms * PACE_MOVED
    if (!deadlineMoved && !paceMoved) return
    await announce(
      broker,
      timersMoved,
      { window: ledger.window, epoch: ledger.epoch },
      { timers, why: deadlineMoved ? `block ${best.number}` : `groups take ${Math.round(p90Ms)} ms` },
      { signal },
    )
    send(ledger, { type: 'TIMERS', timers })
  }

  /** Tells the uploader once block W is final under the window's hash. */
  async function confirm(ledger: Ledger): Promise<void> {
    if (ledger.final || !ledger.opened || finalNumber < ledger.window) return
    const { window, epoch } = ledger
    const hash = await chain.hash(window, signal)
    if (hash === undefined || hash !== ledger.opened.hash) return
    await announce(broker, hashFinal, { window, epoch }, { hash }, { signal })
    ledger.final = true
  }

  async function summarise(ledger: Ledger): Promise<void> {
    const { window, epoch } = ledger
    const summary = summaryOf(ledger)
    if (stateOf(ledger) === 'done')
      await announce(
        broker,
        entered,
        { window, epoch },
        { state: 'done' as const, atMs: clock.now(), why: '' },
        { signal },
      )
    await announce(broker, summarised, { window, epoch }, summary, { signal })
    ledger.summarised = true
    tell(broker, summaryLive, {}, summary)
    parts.say(summaryLine(summary, new Date(clock.now())))
  }

  /**
   * Lifetimes of design.md §3: claims and re-issued indices until the summary, groups and parts for two windows. Done once by
   * every controller for every window it knows: the one that summarised it may have died in between.
   */
  async function forget(ledger: Ledger): Promise<void> {
    const { window, epoch } = ledger
    following.get(`${window}.${epoch}`)?.abort()
    await dropClaimBucket(broker, claimsOf(window, epoch), { signal })
    await purgeSubject(broker, REISSUE, reissued.matching({ window, epoch }), { signal })
    ledger.forgotten = true
    if (newestOf(window + WINDOW_BLOCKS)) return
    for (const store of [parts.rollouts, parts.parts])
      for (const name of await store.names({ signal }))
        if (Number(name.split('/')[0]) < window - (WINDOWS_STAGED - 1) * WINDOW_BLOCKS)
          await store.forget(name, { signal })
  }

  /** The bucket that was made ahead for a window that no controller was alive to open. */
  async function forgetUnopened(window: number): Promise<void> {
    const before = Math.max(...[...ledgers.values()].map(ledger => (ledger.window < window ? ledger.window : 0)))
    const ahead = before + WINDOW_BLOCKS
    if (ahead < window) await dropClaimBucket(broker, claimsOf(ahead, 1), { signal })
  }

  /** Indices nobody works on go to the reissue queue, lowest first, as long as a group can still be made. */
  async function reconcile(): Promise<void> {
    while (!signal.aborted) {
      try {
        for (const ledger of ledgers.values()) if (!isOver(ledger) && ledger.opened) await reissue(ledger)
      } catch (error) {
        if (signal.aborted) return
        if (!isBrokerError(error)) throw error
        log.warn({ err: error }, 'orphans could not be re-issued')
      }
      await clock.sleep(RECONCILE_MS, signal)
    }
  }

  async function reissue(ledger: Ledger): Promise<void> {
    const { window, epoch } = ledger
    const state = stateOf(ledger)
    if (state !== 'generating' && state !== 'draining') return
    if (clock.now() + (p90(groupMs) ?? 0) > ledger.machine.context.timers.drainEndMs) return
    const alive = fleet.alive(window, epoch)
    const candidates = orphans({ claims: ledger.claims.values(), settled: settled(ledger), alive })
    if (candidates.length === 0) return
    const queued = await subjects(broker, REISSUE, reissued.matching({ window, epoch }), { signal })
    for (const index of candidates) {
      if (queued.has(reissued.at({ window, epoch, index }))) continue
      const before = ledger.reissued.get(index)
      // Taken from the queue a moment ago: its new owner is about to say so.
      if (before && clock.now() - before.atMs < LIST_GRACE_MS) continue
      const attempt = (before?.attempt ?? 0) + 1
      ledger.reissued.set(index, { attempt, atMs: clock.now() })
      const owner = ledger.claims.get(index)
      log.warn({ window, index, owner: owner?.generator, attempt }, 'index of a dead generator is re-issued')
      await announce(broker, reissued, { window, epoch, index }, { index, attempt }, { signal })
    }
  }
}

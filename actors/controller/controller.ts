import { announce, bePresent, isBrokerError } from '../../nats/index.js'
import type { Head } from '../../src/chain/chain.js'
import { ChainError } from '../../src/chain/chain-error.js'
import { windowOf } from '../../src/window/block.js'
import { LIST_GRACE_MS } from '../../src/window/claim.js'
import { nextMoment } from '../../src/window/deadline.js'
import { whileActive } from '../active.js'
import { bell } from '../bell.js'
import { followJournal } from '../journal.js'
import { encodePresence, PRESENCE_EVERY_MS } from '../presence.js'
import { FLEET } from '../streams.js'
import { lookAhead } from './ahead.js'
import { confirmFinal, forget, isDrained, summarise } from './closing.js'
import type { Desk } from './desk.js'
import { followFleet } from './fleet.js'
import { watchHearing } from './hearing.js'
import { fold, isOver, type Ledger, send } from './ledger.js'
import { keepLedgers } from './ledgers.js'
import type { WindowEvent } from './machine.js'
import { entered, type WindowState } from './messages.js'
import { keepWindow } from './opening.js'
import type { ControllerParts } from './options.js'
import { watchPassed } from './passed.js'
import { watchForRace } from './race.js'
import { watchPlace } from './registration.js'
import { reissueOrphans } from './reissue.js'
import { measureTiming } from './timing.js'

/** The window's clock ticks this often, ms, and at each of its moments: a fifth of the shortest time that means anything here (a second). */
const TICK_MS = 200
/** Orphans are looked for this often, ms. */
const RECONCILE_MS = 1_000

/**
 * Actors that lost their leases while the broker was away have this long to come back and to say what they have done, ms:
 * the longest pause between two attempts to connect, the lease, the journal, and a HEAD that is repeated.
 */
const COMES_BACK_MS = 15_000

/** What the controller's presence says while no block comes. */
const NO_BLOCK = 'no block comes'

/** Finality that is so many blocks behind is out of order: on finney it is 2 or 3. */
const FINALITY_LATE_BLOCKS = 10
const NOT_FINAL = 'finality lags'

/** generating, uploading and verifying follow from others' events: nobody needs to be told what they said. */
const UNSAID: ReadonlySet<string> = new Set(['generating', 'uploading', 'verifying'])

/**
 * Follows the chain, opens and closes windows, re-issues what dead generators leave, and says what a window came to.
 * Its whole state is the journal, folded: killed at any moment, it goes on where the events end.
 */
export async function runController(parts: ControllerParts, signal: AbortSignal): Promise<void> {
  const { broker, instance, boot } = parts
  let state = 'standby'
  /** What an operator should see in `grail status`, beside the log. */
  const troubles = new Set<string>()
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
        state: [state, ...troubles].join(', '),
      }),
    { everyMs: PRESENCE_EVERY_MS, signal },
  )
  await whileActive(parts, { role: 'controller', leaseMs: parts.leaseMs, signal }, async active => {
    state = 'active'
    await control(parts, troubles, active).finally(() => troubles.clear())
  })
}

async function control(parts: ControllerParts, troubles: Set<string>, signal: AbortSignal): Promise<void> {
  const { broker, log, clock, chain } = parts
  const changed = bell()
  const ledgers = keepLedgers(parts, signal)
  const fleet = followFleet(broker, { signal, log })
  const hearing = watchHearing(parts, signal)
  const timing = measureTiming(parts, signal)
  const place = watchPlace(parts, { fleet, troubles, signal })
  const desk: Desk = {
    parts,
    ledgers,
    fleet,
    timing,
    signal,
    move,
    unregistered: hotkey => (place.isUnregistered(hotkey) ? parts.remedy(hotkey) : undefined),
  }
  const ahead = lookAhead(desk)
  const tellPassed = watchPassed(desk)
  let bestNumber = -1
  let finalNumber = -1
  /** Something was heard, since the windows were last looked at, by which block W of one of them may be final. */
  let news = false
  let live = false
  let preparing = false

  const journal = followJournal(broker, 'all', {
    signal,
    onBroken: (subject, error) => log.error({ subject, err: error }, 'an event of the journal cannot be read: skipped'),
    onEvent: event => {
      const ledger = ledgers.of(event.window, event.epoch)
      fold(ledger, event)
      timing.learn(ledger, event)
      // Block W may have been final before anybody had opened its window.
      if (event.kind === 'opened') news = true
      if (live) changed.ring()
    },
  })
  await Promise.all([journal.caughtUp, fleet.caughtUp])
  for (const ledger of ledgers.all()) if (ledger.opened && !isOver(ledger)) ledgers.followClaims(ledger)
  live = true
  // A part that fails ends the controller: supervisord starts a new one, which folds the journal.
  await Promise.all([followHeads(), tick(), reconcile(), place.done, journal.done, fleet.done]).finally(ledgers.close)

  async function move(ledger: Ledger, event: WindowEvent): Promise<void> {
    const state = send(ledger, event)
    if (state === undefined) return
    const { window, epoch } = ledger
    const why = ledger.machine.context.reason
    log.info({ window, epoch, state, ...(why === '' ? {} : { why }) }, 'window state')
    if (!UNSAID.has(state)) {
      const said = { state: state as WindowState, atMs: clock.now(), why }
      await announce(broker, entered, { window, epoch }, said, { signal })
    }
    changed.ring()
  }

  async function followHeads(): Promise<void> {
    for await (const event of chain.events(signal)) {
      news = true
      if (event.kind === 'best') {
        await timing.seen(event.head)
        timing.chainIs(true)
        troubles.delete(NO_BLOCK)
        bestNumber = event.head.number
        onHead(event.head)
      } else if (event.kind === 'final') finalNumber = Math.max(finalNumber, event.number)
      else if (event.kind === 'up') log.info({ endpoint: event.endpoint }, 'chain connected')
      else if (event.kind === 'down') {
        timing.chainIs(false)
        log.warn({ endpoint: event.endpoint, why: event.why }, 'chain connection lost')
      } else {
        timing.chainIs(false)
        troubles.add(NO_BLOCK)
        log.error({ sinceMs: event.sinceMs }, 'ALARM: no new block: windows cannot open until the chain goes on')
      }
      watchFinality()
      changed.ring()
    }
  }

  function watchFinality(): void {
    const late = finalNumber >= 0 && bestNumber - finalNumber > FINALITY_LATE_BLOCKS
    if (late && !troubles.has(NOT_FINAL))
      log.error({ bestNumber, finalNumber }, 'ALARM: finality lags: no file is uploaded before its block W is final')
    if (late) troubles.add(NOT_FINAL)
    else troubles.delete(NOT_FINAL)
  }

  function onHead(head: Head): void {
    const window = windowOf(head.number)
    ahead(window)
    // One preparation at a time; a head that comes in between is looked at by the next one.
    if (preparing) return
    preparing = true
    const failed = (text: string) => (error: unknown) => {
      if (!signal.aborted) complain(error, { window }, `${text}: the next block is the next try`)
    }
    tellPassed(window)
      .catch(failed('lost windows could not be told'))
      .then(() => keepWindow(desk, window, head))
      .catch(failed('window could not be opened'))
      .finally(() => {
        preparing = false
      })
  }

  async function tick(): Promise<void> {
    while (!signal.aborted) {
      const heard = news
      news = false
      for (const ledger of ledgers.all()) {
        try {
          await look(ledger, heard)
        } catch (error) {
          if (signal.aborted) return
          complain(error, { window: ledger.window }, 'window could not be moved on')
        }
      }
      const nowMs = clock.now()
      const moments = ledgers.all().map(({ machine }) => nextMoment(machine.context.timers, nowMs))
      await changed.wait(Math.min(TICK_MS, ...moments.map(ms => ms - nowMs)), signal)
    }
  }

  /** An answer that did not come is the chain's trouble, which is told elsewhere; anything else has a stack. */
  function complain(error: unknown, facts: object, text: string): void {
    if (error instanceof ChainError && error.next === 'later') log.warn({ ...facts, why: error.message }, text)
    else log.error({ ...facts, err: error }, text)
  }

  async function look(ledger: Ledger, heard: boolean): Promise<void> {
    if (!isOver(ledger)) {
      await timing.remeasure(ledger)
      await move(ledger, { type: 'TICK', nowMs: clock.now(), judgesFromMs: hearing.sinceMs() + COMES_BACK_MS })
      if (isDrained(desk, ledger)) await move(ledger, { type: 'DRAINED' })
      watchForRace(desk, ledger, bestNumber)
      if (heard) await confirmFinal(desk, ledger, finalNumber)
    }
    if (isOver(ledger) && !ledger.summarised) await summarise(desk, ledger)
    if (ledger.summarised && !ledger.forgotten) await forget(desk, ledger)
  }

  async function reconcile(): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(RECONCILE_MS, signal)
      // While the broker is away presences age, and none is renewed: nobody is dead who has not had the time to speak again.
      if (signal.aborted || clock.now() < hearing.sinceMs() + LIST_GRACE_MS) continue
      try {
        for (const ledger of ledgers.all()) if (!isOver(ledger) && ledger.opened) await reissueOrphans(desk, ledger)
      } catch (error) {
        if (signal.aborted) return
        if (!isBrokerError(error)) throw error
        log.warn({ err: error }, 'orphans could not be re-issued')
      }
    }
  }
}

import { announce, bePresent, claim, done, isBrokerError, never, pullOne, type Store, tell } from '../../nats/index.js'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import { EngineError } from '../../src/engine/engine.js'
import { RewardError } from '../../src/environment/environment.js'
import { digestOf, encodeGroup } from '../../src/window/blob.js'
import { claimsOf, encodeClaim } from '../../src/window/claim.js'
import { mayClaim } from '../../src/window/deadline.js'
import type { ActorParts } from '../actor.js'
import { bell } from '../bell.js'
import { reissued, summaryLive } from '../controller/messages.js'
import { encodePresence, PRESENCE_EVERY_MS, type Presence } from '../presence.js'
import { FLEET, REISSUE, REISSUE_CONSUMER } from '../streams.js'
import { followWindows, isOver, type OpenWindow } from '../windows.js'
import { type Generated, generate, type Workshop } from './make-group.js'
import { gaveUp, staged, stagedObject } from './messages.js'
import { measurePace } from './pace.js'

export interface GeneratorParts extends ActorParts {
  host: string
  gpus: string[]
  /** Object store of staged groups. */
  rollouts: Store
  /** The checkpoint to mine `window` (or, undefined, the next one) with, or a sentence why there is none. */
  checkpoint(window: number | undefined, signal: AbortSignal): Promise<Checkpoint | string>
  /** Starts the engine with a checkpoint, or swaps it: everything groups are made with. */
  workshop(checkpoint: Checkpoint, signal: AbortSignal): Promise<Workshop>
}

/** How long an idle generator sleeps at most before it looks again whether the window took a turn. */
const IDLE_MS = 1_000
/** A pull from the reissue queue that finds nothing comes back after this long: claims must not wait for it. */
const REISSUE_WAIT_MS = 50
/** Groups that may be rewarded and staged while the engine is busy with the next one. */
const STAGING_IN_FLIGHT = 2
/** Pause after the first group an engine failed on, and the longest one, ms. */
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 30_000
/** Tries of one index on one generator while its engine asks for patience: then it goes back to the fleet. */
const TRIES_PER_INDEX = 3

/** What this generator did in a window, for its own line on grail.summary. */
interface Tally {
  staged: number
  rollouts: number
  bytes: number
  dropped: Record<string, number>
  seconds: { prompt: number; generate: number; prove: number; reward: number; stage: number }
}

/**
 * One GPU's life: claim an index, make its group, gate it, stage it, say so; drain what dead generators left first.
 * Invariant: every index this process has claimed is in its presence until it is staged, given up, or left to be reissued.
 */
export async function runGenerator(parts: GeneratorParts, signal: AbortSignal): Promise<void> {
  const { broker, log, clock, instance, boot } = parts
  const changed = bell()
  const pace = measurePace()
  /** By window, epoch and index: those of a window that was taken back may still be on their way out. */
  const inFlight = new Map<string, { window: OpenWindow; index: number }>()
  const tallies = new Map<string, Tally>()
  let claims = 0
  let state = 'starting'
  let workshop: Workshop | undefined
  let loaded = ''
  let failures = 0

  // Before anybody counts on this generator: reading a tokenizer blocks for a second, loading weights takes minutes.
  const first = await parts.checkpoint(undefined, signal)
  if (typeof first === 'string')
    log.warn({ why: first }, 'no checkpoint yet: the engine starts with the first window that has one')
  else await equip(first)
  if (signal.aborted) return

  const presence = bePresent(
    broker,
    FLEET,
    instance,
    () => {
      const working = [...inFlight.values()]
      const newest = working.at(-1)?.window
      const now: Presence = {
        role: 'generator',
        instance,
        boot,
        host: parts.host,
        pid: process.pid,
        version: parts.version,
        profile: workshop?.profile.id ?? '',
        state,
        gpus: parts.gpus,
        engine: workshop?.engine.name ?? '',
        inFlight: working.filter(({ window }) => window === newest).map(({ index }) => index),
        ...(newest ? { window: newest.window, epoch: newest.epoch } : {}),
        ...(workshop ? { checkpointWindow: workshop.metadata.window } : {}),
        ...(pace.groupMs() === undefined ? {} : { groupMs: pace.groupMs() }),
      }
      return encodePresence(now)
    },
    { everyMs: PRESENCE_EVERY_MS, signal },
  )

  const windows = followWindows(broker, {
    signal,
    log,
    onChange: window => {
      changed.ring()
      if (isOver(window)) report(window)
    },
  })
  await windows.caughtUp

  const tallyOf = ({ window, epoch }: OpenWindow): Tally => {
    const key = `${window}.${epoch}`
    let tally = tallies.get(key)
    if (!tally) {
      tally = {
        staged: 0,
        rollouts: 0,
        bytes: 0,
        dropped: {},
        seconds: { prompt: 0, generate: 0, prove: 0, reward: 0, stage: 0 },
      }
      tallies.set(key, tally)
    }
    return tally
  }

  function report(window: OpenWindow): void {
    const tally = tallies.get(`${window.window}.${window.epoch}`)
    if (!tally) return
    tallies.delete(`${window.window}.${window.epoch}`)
    tell(
      broker,
      summaryLive,
      {},
      {
        actor: instance,
        window: window.window,
        epoch: window.epoch,
        state: tally.staged > 0 ? 'STAGED' : 'EMPTY',
        rollouts: tally.rollouts,
        problems: tally.staged,
        dropped: tally.dropped,
        duplicates: 0,
        bytes: tally.bytes,
        seconds: tally.seconds,
        checkpoint: window.opened.checkpoint.window,
      },
    )
  }

  function begin(window: OpenWindow, index: number): void {
    inFlight.set(`${window.window}.${window.epoch}.${index}`, { window, index })
    presence.poke()
  }

  function end(window: OpenWindow, index: number): void {
    inFlight.delete(`${window.window}.${window.epoch}.${index}`)
    presence.poke()
  }

  /** Takes an index: one left by a dead generator if there is any, else a new one. undefined: nothing to take just now. */
  async function take(window: OpenWindow): Promise<number | undefined> {
    const left = await pullOne(broker, REISSUE, REISSUE_CONSUMER, { signal, expiresMs: REISSUE_WAIT_MS })
    if (left) {
      const holes = reissued.holes(left.subject)
      if (holes?.window !== window.window || holes.epoch !== window.epoch) {
        await left.settle(never('of another window or epoch'), { signal })
        return undefined
      }
      // Listed before it leaves the queue: between the two the controller must see it in one place at least.
      begin(window, holes.index)
      await left.settle(done, { signal })
      log.info({ window: window.window, index: holes.index }, 'took over an index of a dead generator')
      return holes.index
    }
    // A number is only used up by a claim that was answered: after a lost answer the same claim is asked for again.
    const key = `${instance}.${boot}.${window.window}.${window.epoch}.${claims}`
    const { index } = await claim(
      broker,
      claimsOf(window.window, window.epoch),
      key,
      encodeClaim({
        generator: instance,
        boot,
        checkpointWindow: window.opened.checkpoint.window,
        atMs: clock.now(),
      }),
      {
        id: key,
        signal: AbortSignal.any([signal, window.worthless]),
        giveUpAfterMs: window.timers.drainEndMs - clock.now(),
      },
    )
    claims++
    begin(window, index)
    return index
  }

  async function giveUp(window: OpenWindow, index: number, reason: string, detail: string): Promise<void> {
    const tally = tallyOf(window)
    tally.dropped[reason] = (tally.dropped[reason] ?? 0) + 1
    log.warn({ window: window.window, index, reason, detail }, 'group given up')
    await announce(
      broker,
      gaveUp,
      { window: window.window, epoch: window.epoch, index },
      { reason, detail: detail.slice(0, 500), generator: instance, boot },
      { signal },
    )
  }

  /** Rewards, gates and stages a generated group; the index stays in flight until that is acknowledged. */
  async function stage(window: OpenWindow, index: number, generated: Generated, beganMs: number): Promise<void> {
    try {
      const { group, findings } = await generated.finish()
      if (findings.length > 0) {
        const [first] = findings
        await giveUp(window, index, first!.code, findings.map(({ message }) => message).join('; '))
        return
      }
      const stagingMs = clock.now()
      const leftMs = window.timers.drainEndMs - stagingMs
      if (leftMs <= 0) {
        await giveUp(window, index, 'late', `made ${-leftMs} ms after draining had ended`)
        return
      }
      const blob = encodeGroup(group)
      const digest = digestOf(blob)
      const object = stagedObject(window.window, window.epoch, index, digest)
      const patience = { signal: AbortSignal.any([signal, window.worthless]), giveUpAfterMs: leftMs }
      await parts.rollouts.put(object, blob, patience)
      const seconds = { ...group.seconds, stage: (clock.now() - stagingMs) / 1000 }
      await announce(
        broker,
        staged,
        { window: window.window, epoch: window.epoch, index },
        {
          object,
          digest,
          bytes: blob.byteLength,
          rollouts: group.rollouts.length,
          generator: instance,
          boot,
          checkpointWindow: group.model.checkpointWindow,
          seconds,
        },
        patience,
      )
      pace.finished(clock.now() - beganMs)
      const tally = tallyOf(window)
      tally.staged++
      tally.rollouts += group.rollouts.length
      tally.bytes += blob.byteLength
      for (const step of Object.keys(seconds) as (keyof typeof seconds)[]) tally.seconds[step] += seconds[step]
      log.debug({ window: window.window, index, bytes: blob.byteLength, seconds }, 'staged')
    } catch (error) {
      if (signal.aborted || window.worthless.aborted) return
      if (error instanceof RewardError) await giveUp(window, index, 'judge-broken', error.message)
      else log.error({ window: window.window, index, err: error }, 'group lost: left for another generator')
    } finally {
      end(window, index)
    }
  }

  /** One index from its claim to the hand-over to staging. */
  async function work(
    window: OpenWindow,
    shop: Workshop,
    index: number,
  ): Promise<{ staging: Promise<void> } | undefined> {
    const beganMs = clock.now()
    const tooLate = new AbortController()
    const timer = setTimeout(() => tooLate.abort(new Error('draining is over')), window.timers.drainEndMs - beganMs)
    const until = AbortSignal.any([signal, window.worthless, tooLate.signal])
    try {
      for (let tries = 1; ; tries++) {
        try {
          const task = {
            window: window.window,
            epoch: window.epoch,
            index,
            opened: window.opened,
            latestMs: window.timers.drainEndMs,
          }
          const generated = await generate(shop, { task, clock, producer: instance, signal: until })
          return { staging: stage(window, index, generated, beganMs) }
        } catch (error) {
          if (until.aborted) throw error
          const patient = error instanceof EngineError && error.next === 'later' && tries < TRIES_PER_INDEX
          if (!patient) throw error
          log.warn({ window: window.window, index, err: error }, 'engine asks for patience')
          await clock.sleep(error.retryAfterMs, until)
        }
      }
    } catch (error) {
      if (!until.aborted && error instanceof EngineError && error.next === 'never')
        await giveUp(window, index, 'engine-refused', error.message)
      else if (!until.aborted)
        log.error({ window: window.window, index, err: error }, 'engine failed: index left for another generator')
      end(window, index)
      return undefined
    } finally {
      clearTimeout(timer)
    }
  }

  async function equip(checkpoint: Checkpoint): Promise<Workshop> {
    state = 'loading'
    workshop = await parts.workshop(checkpoint, signal)
    loaded = `${checkpoint.metadata.window}/${checkpoint.metadata.weightsHash}`
    return workshop
  }

  /** The workshop for a window's checkpoint, or undefined with the reason in `state`. */
  async function workshopFor(window: OpenWindow): Promise<Workshop | undefined> {
    const wanted = `${window.opened.checkpoint.window}/${window.opened.checkpoint.weightsHash}`
    if (workshop && loaded === wanted) return workshop
    const found = await parts.checkpoint(window.window, signal)
    if (typeof found === 'string') {
      state = `no checkpoint: ${found}`
      return undefined
    }
    const { metadata } = found
    if (`${metadata.window}/${metadata.weightsHash}` !== wanted) {
      state = `holds checkpoint ${metadata.window}, the window wants ${window.opened.checkpoint.window}`
      return undefined
    }
    return equip(found)
  }

  /** Own p90; before the first group the fleet's, which lies between the moments claims close and draining ends. */
  const expectedMs = ({ timers }: OpenWindow) => pace.groupMs() ?? timers.drainEndMs - timers.claimsCloseMs

  const staging = new Set<Promise<void>>()
  while (!signal.aborted) {
    const window = windows.latest()
    if (!window || isOver(window) || !mayClaim(clock.now(), window.timers.drainEndMs, expectedMs(window))) {
      state = workshop ? 'idle' : state
      await changed.wait(IDLE_MS, signal)
      continue
    }
    try {
      const shop = await workshopFor(window)
      if (!shop) {
        await changed.wait(IDLE_MS, signal)
        continue
      }
      state = 'generating'
      const index = await take(window)
      if (index === undefined) continue
      const handedOver = await work(window, shop, index)
      if (!handedOver) {
        // A broken engine must not eat the window's indices: each failure waits twice as long as the one before.
        if (!window.worthless.aborted)
          await clock.sleep(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures++), signal)
        continue
      }
      failures = 0
      const staged = handedOver.staging.finally(() => staging.delete(staged))
      staging.add(staged)
      if (staging.size >= STAGING_IN_FLIGHT) await Promise.race(staging)
    } catch (error) {
      if (signal.aborted) break
      // The window's cap is reached, it was sealed, or its claims are gone: there will be another window.
      const closed = isBrokerError(error) && error.next === 'never'
      const full = isBrokerError(error, 'stream-full')
      if (!closed && !full && !window.worthless.aborted) log.warn({ err: error }, 'no index to be had just now')
      await changed.wait(IDLE_MS, signal)
    }
  }
  await Promise.allSettled(staging)
  await windows.done
  await workshop?.engine.close()
  await workshop?.environment.close()
}

import { scope } from '../../src/checkpoint/scope.js'
import { EngineError } from '../../src/engine/engine.js'
import { OtherWeights } from '../../src/engine/server/dialect.js'
import type { OpenWindow } from '../windows.js'
import type { Desk } from './desk.js'
import { generate, type Workshop } from './make-group.js'
import { giveUp, stage } from './stage.js'

/** Tries of one index on one generator while its engine asks for patience: then it goes back to the fleet. */
const TRIES_PER_INDEX = 3

/**
 * What came of an index: handed over to staging, which tells whether it came there, stopped by the window's end, failed by the engine, or made by an engine that
 * turned out to hold other weights, for the reason in `distrust`.
 */
export type Worked = { staging: Promise<boolean> } | 'stopped' | 'failed' | { distrust: string }

/** One index from its claim to the hand-over to staging: the part of a group's way that needs the engine. */
export async function work(desk: Desk, window: OpenWindow, shop: Workshop, index: number): Promise<Worked> {
  const { parts, inFlight, pace, signal } = desk
  const { clock, log, instance } = parts
  const beganMs = clock.now()
  // What the engine makes later would be staged too late.
  const latestMs = window.timers.drainEndMs - (pace.stagingMs() ?? 0)
  const limit = scope(signal, window.worthless)
  const until = limit.signal
  const timer = setTimeout(
    () => limit.abort(new Error('nothing more can be staged before draining ends')),
    latestMs - beganMs,
  )
  let handedOver = false
  const task = { window: window.window, epoch: window.epoch, index, opened: window.opened, latestMs }
  try {
    for (let tries = 1; ; tries++) {
      try {
        const generated = await generate(shop, { task, clock, producer: instance, signal: until })
        handedOver = true
        // The window's end still ends its rewarding.
        return { staging: stage(desk, window, index, generated, beganMs).finally(limit.end) }
      } catch (error) {
        const patient = error instanceof EngineError && error.next === 'later' && tries < TRIES_PER_INDEX
        if (until.aborted || !patient) throw error
        log.warn({ window: window.window, index, err: error }, 'engine asks for patience')
        await clock.sleep(error.retryAfterMs, until)
      }
    }
  } catch (error) {
    try {
      if (until.aborted || (error instanceof EngineError && error.next === 'deadline')) return 'stopped'
      if (error instanceof OtherWeights) {
        // Nothing is wrong with the index: it is left for a generator that holds the right ones.
        log.error({ window: window.window, index, err: error }, 'other weights: index left for another generator')
        return { distrust: error.message }
      }
      if (error instanceof EngineError && error.next === 'never') {
        // The prompt is at fault, not the engine: the next index may be fine.
        await giveUp(desk, window, index, 'engine-refused', error.message)
        return 'failed'
      }
      log.error({ window: window.window, index, err: error }, 'engine failed: index left for another generator')
      return 'failed'
    } finally {
      inFlight.end(window, index)
    }
  } finally {
    clearTimeout(timer)
    if (!handedOver) limit.end()
  }
}
